"""Stage sources: records the files at the paths in params.yaml, so that DVC sees changes.

DVC cannot follow a path that a parameter names. So this stage runs each time and writes a table of
names, sizes and hashes for each such parameter. It does not read unchanged files again. The stages
that use the files depend on these tables.
"""

import subprocess
from pathlib import Path

import pandas as pd

from pipeline.inputs.listing import files_behind, hashes
from pipeline.plumbing.errors import UserError, plain_errors
from pipeline.plumbing.files import fresh_folder
from pipeline.plumbing.params import Params, load_params
from pipeline.plumbing.places import SOURCES, project_root

KEYS = (
    "data.source",
    "vqgan.checkpoint",
    "train.checkpoint",
    "train.start_from",
    "score.weights",
    "score.lpips",
)


def path_of(key: str, params: Params) -> Path | None:
    """Returns the path that a parameter names, from the project's root; None where it is empty."""
    section, name = key.split(".")
    value = getattr(getattr(params, section), name)
    if not value or (key == "data.source" and value == "synthetic"):
        return None
    path = project_root() / value
    if not path.exists():
        raise UserError(
            f"{key}: {value} does not exist; put it there, or run 'dvc freeze sources' to go on "
            "with what was made of it"
        )
    return path


def check_history() -> None:
    """Raises UserError in a temporary copy of an experiment whose result DVC would lose."""
    root = project_root()
    if Path.cwd().resolve() == root.resolve():
        return
    shallow = ["git", "-C", str(root), "rev-parse", "--is-shallow-repository"]
    if subprocess.run(shallow, capture_output=True, encoding="utf-8").stdout.strip() == "true":
        raise UserError(
            "this clone has only a part of its history (--depth), and DVC would lose this "
            "experiment when it is done; run 'git fetch --unshallow' first"
        )


def main() -> None:
    check_history()
    params = load_params()
    with hashes() as known, fresh_folder(SOURCES) as folder:
        for key in KEYS:
            path = path_of(key, params)
            follow_links = key != "data.source" or params.data.follow_links
            files = files_behind(path, follow_links) if path else []
            rows = known.listing(files, path.parent) if path else []
            table = pd.DataFrame(rows, columns=["file", "bytes", "sha256"])
            table.to_csv(folder / f"{key}.csv", index=False)


if __name__ == "__main__":
    with plain_errors():
        main()
