"""Stage sources: records the files at the paths in params.yaml, so that DVC sees changes.

DVC cannot follow a path that a parameter names. So this stage runs each time and writes a table of
names, sizes and hashes for each such parameter. It does not read unchanged files again. The stages
that use the files depend on these tables. Weights that cannot be the published ones are refused
here, before any training.
"""

import subprocess
from pathlib import Path

import pandas as pd

from maskgit.scoring.published import ALEXNET, FID_WEIGHTS, Published
from pipeline.inputs.listing import Hashes, files_behind, hashes
from pipeline.plumbing.copies import in_a_copy
from pipeline.plumbing.errors import UserError, plain_errors
from pipeline.plumbing.files import fresh_folder
from pipeline.plumbing.params import Params, load_params
from pipeline.plumbing.places import SOURCES, project_root

KEYS = (
    "data.source",
    "data.holes",
    "vqgan.checkpoint",
    "train.checkpoint",
    "train.start_from",
    "score.weights",
    "score.lpips",
    "score.others",
)
PUBLISHED = {"score.weights": FID_WEIGHTS, "score.lpips": ALEXNET}


def paths_of(key: str, params: Params) -> list[Path]:
    """Returns the paths that a parameter names, from the project's root; none where it is empty."""
    section, name = key.split(".")
    value = getattr(getattr(params, section), name)
    if key == "data.source":
        named = [value] if value != "synthetic" else []
    elif key == "data.holes":
        named = list(dict.fromkeys(params.data.mask_sets))
    elif key == "score.others":
        named = list(value.values())
    else:
        named = [value] if value else []
    for path in named:
        if not (project_root() / path).exists():
            raise UserError(
                f"{key}: {path} does not exist; put it there, or run 'dvc freeze sources' to go "
                "on with what was made of it"
            )
    return [project_root() / path for path in named]


def check_published(key: str, paths: list[Path], published_file: Published, known: Hashes) -> None:
    """Raises UserError where the parameter names another file than the published one."""
    for path in paths:
        try:
            published_file.check(path, known.hash_of)
        except (ValueError, OSError) as error:
            raise UserError(f"{key}: {error}") from None


def check_history() -> None:
    """Raises UserError in a temporary copy of an experiment whose result DVC would lose."""
    if not in_a_copy():
        return
    shallow = ["git", "-C", str(project_root()), "rev-parse", "--is-shallow-repository"]
    if subprocess.run(shallow, capture_output=True, encoding="utf-8").stdout.strip() == "true":
        raise UserError(
            "this clone has only a part of its history (--depth), and DVC would lose this "
            "experiment when it is done; run 'git fetch --unshallow' first"
        )


def main() -> None:
    check_history()
    params = load_params()
    named = {key: paths_of(key, params) for key in KEYS}
    with hashes() as known, fresh_folder(SOURCES) as folder:
        for key, published_file in PUBLISHED.items():
            check_published(key, named[key], published_file, known)
        for key, paths in named.items():
            follow_links = not key.startswith("data.") or params.data.follow_links
            rows = []
            for path in paths:
                rows += known.listing(files_behind(path, follow_links), path.parent)
            table = pd.DataFrame(rows, columns=["file", "bytes", "sha256"])
            table.to_csv(folder / f"{key}.csv", index=False)


if __name__ == "__main__":
    with plain_errors():
        main()
