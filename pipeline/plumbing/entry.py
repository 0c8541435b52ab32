"""Identifies a stage by its entry in dvc.yaml: its parameters, dependencies and outputs."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Mapping
from functools import reduce
from operator import getitem
from pathlib import Path

from pipeline.plumbing.hashing import content_hash
from pipeline.plumbing.params import Params
from pipeline.plumbing.yaml_files import parse_yaml, read_yaml

REPORT = "report"
PIPELINES = [Path("dvc.yaml"), Path("study/dvc.yaml"), Path("feed_forward/dvc.yaml")]
"""The files that declare stages, the main one first; all stages have different names."""


def flat(values: Mapping, prefix: str = "") -> dict[str, object]:
    """Returns nested parameters as one level, with dotted names."""
    result = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[prefix + key] = value
    return result


def stages_of(pipeline: Path) -> dict[str, dict]:
    """Returns the stages in the file of a pipeline, by name; {} where there is no file."""
    return read_yaml(pipeline)["stages"] if pipeline.is_file() else {}


def declared(stage: str) -> dict:
    """Returns a stage's entry in the file of its pipeline; {} where it has none."""
    return next((found[stage] for found in map(stages_of, PIPELINES) if stage in found), {})


def described(stage: str, item: str = "") -> dict:
    """As `declared`, with values in place of ${...}. item: of a matrix."""
    entry = declared(stage)
    return with_values(entry, read_yaml(Path("params.yaml")), item) if entry else {}


def with_values(entry: dict, params: dict, item: str = "") -> dict:
    """Returns a stage's entry with values in place of ${...}. item: of a matrix."""
    known = params | {"item": dict.fromkeys(entry.get("matrix", {}), item)}

    def value(match: re.Match) -> str:
        return str(reduce(getitem, match[1].split("."), known))

    return json.loads(re.sub(r"\$\{([\w.]+)\}", value, json.dumps(entry)))


def path_of(out: str | dict) -> str:
    """Returns the path of an entry of `outs`, which may have options: `{path: {cache: false}}`."""
    return out if isinstance(out, str) else next(iter(out))


def outputs() -> dict[str, tuple[str, str, Path]]:
    """Returns stage, item and first output of each entry of the pipelines that has a run.

    By DVC's name of the entry: `inpaint@cosine`, `feed_forward/dvc.yaml:train_feed_forward`. A
    stage that always runs has none: it records only what the others depend on.
    """
    found, params = {}, read_yaml(Path("params.yaml"))
    for pipeline in PIPELINES:
        prefix = "" if pipeline == PIPELINES[0] else f"{pipeline.as_posix()}:"
        for stage, entry in stages_of(pipeline).items():
            if entry.get("always_changed"):
                continue
            for item in next(iter(with_values(entry, params).get("matrix", {"": [""]}).values())):
                output = Path(path_of(with_values(entry, params, item)["outs"][0]))
                found[f"{prefix}{stage}@{item}" if item else prefix + stage] = stage, item, output
    return found


def shown_params(stage: str, params: Params) -> dict[str, object]:
    """Returns the parameters that dvc.yaml names for the stage, as the preset fills them."""
    values, asked = params.model_dump(), described(stage).get("params", [])
    names = [name for name in asked if isinstance(name, str)]
    return flat({name: reduce(getitem, name.split("."), values) for name in names})


def entry_hash(stage: str, item: str, params: Mapping, output: Path) -> str:
    """Returns the sha256, in hex, over all by which two runs of a stage count as the same."""
    known = described(stage, item)
    paths = {*known.get("deps", []), *map(path_of, known.get("outs", [])), str(output)}
    hashes = {path: content_hash(Path(path)) for path in paths if Path(path).exists()}
    text = json.dumps([stage, item, dict(params), hashes], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def git(*words: str) -> str:
    """Returns what a git command prints; nothing where there is no git or no commit."""
    try:
        return subprocess.run(["git", *words], capture_output=True, encoding="utf-8").stdout
    except OSError:
        return ""


def changed() -> str:
    """Returns how params.yaml differs from git's last commit, as 'gamma=square, guidance=0'.

    Without a difference it is the preset's name.
    """
    now = read_yaml(Path("params.yaml"))
    before = git("show", "HEAD:./params.yaml")
    old, new = flat(parse_yaml(before) if before else now), flat(now)
    differ = {key: new.get(key) for key in new | old if str(old.get(key)) != str(new.get(key))}
    leaves = [key.split(".")[-1] for key in new | old]
    short = {key: key.split(".")[-1] for key in differ}
    names = {key: name if leaves.count(name) == 1 else key for key, name in short.items()}
    said = [f"{names[key]}={'none' if v is None else v}" for key, v in differ.items()]
    return ", ".join(said) or str(now["preset"])
