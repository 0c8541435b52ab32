"""A stage's entry in dvc.lock: the parameters, dependencies and outputs that make it what it is."""

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


def flat(values: Mapping, prefix: str = "") -> dict[str, object]:
    """Nested parameters with dotted names."""
    result = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[prefix + key] = value
    return result


def described(stage: str, item: str = "") -> dict:
    """The stage in dvc.yaml, with values in place of ${...}; empty where it does not stand there.

    item: of a matrix.
    """
    path = Path("dvc.yaml")
    stages = read_yaml(path)["stages"] if path.is_file() else {}
    if stage not in stages:
        return {}
    known = read_yaml(Path("params.yaml")) | {
        "item": dict.fromkeys(stages[stage].get("matrix", {}), item)
    }

    def value(match: re.Match) -> str:
        return str(reduce(getitem, match[1].split("."), known))

    return json.loads(re.sub(r"\$\{([\w.]+)\}", value, json.dumps(stages[stage])))


def outputs() -> dict[str, tuple[str, str, Path]]:
    """Returns stage, item and first output of each entry of dvc.yaml that has a run, by its name.

    A stage that always runs has none: it records only what the others depend on.
    """
    found = {}
    for stage, entry in read_yaml(Path("dvc.yaml"))["stages"].items():
        if entry.get("always_changed"):
            continue
        for item in next(iter(described(stage).get("matrix", {"": [""]}).values())):
            output = Path(described(stage, item)["outs"][0])
            found[f"{stage}@{item}" if item else stage] = stage, item, output
    return found


def shown_params(stage: str, params: Params) -> dict[str, object]:
    """Those that dvc.yaml names for the stage, as the preset fills them."""
    values, asked = params.model_dump(), described(stage).get("params", [])
    names = [name for name in asked if isinstance(name, str)]
    return flat({name: reduce(getitem, name.split("."), values) for name in names})


def entry_hash(stage: str, item: str, params: Mapping, output: Path) -> str:
    """sha256 of what makes two runs of a stage the same one."""
    known = described(stage, item)
    paths = {*known.get("deps", []), *known.get("outs", []), str(output)}
    hashes = {path: content_hash(Path(path)) for path in paths if Path(path).exists()}
    text = json.dumps([stage, item, dict(params), hashes], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def changed() -> str:
    """What params.yaml says otherwise than in git's last commit: 'gamma=square, guidance=0'.

    The preset's name where nothing differs.
    """
    now = read_yaml(Path("params.yaml"))
    command = ["git", "show", "HEAD:./params.yaml"]
    try:
        before = subprocess.run(command, capture_output=True, encoding="utf-8").stdout
    except OSError:
        before = ""
    old, new = flat(parse_yaml(before) if before else now), flat(now)
    differ = {key: value for key, value in new.items() if str(old.get(key)) != str(value)}
    leaves = [key.split(".")[-1] for key in new]
    short = {key: key.split(".")[-1] for key in differ}
    names = {key: name if leaves.count(name) == 1 else key for key, name in short.items()}
    said = [f"{names[key]}={'none' if v is None else v}" for key, v in differ.items()]
    return ", ".join(said) or str(now["preset"])
