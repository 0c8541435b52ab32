"""What the pipelines say of their stages, for tests that compare it with the code."""

import ast
import inspect
import textwrap
from collections.abc import Iterable
from functools import reduce
from operator import or_
from pathlib import Path

import yaml

from maskgit.validation import Section
from pipeline.plumbing.entry import PIPELINES
from pipeline.plumbing.params import FROM_PRESET, Params
from tests.clone import ROOT

PIPELINE, *OTHERS = (yaml.safe_load((ROOT / path).read_text())["stages"] for path in PIPELINES)
STAGES = reduce(or_, OTHERS, PIPELINE)
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())


def runs(gamma: str, stages: Iterable[str] = PIPELINE) -> set[str]:
    """The names under which DVC runs these stages with a headline schedule: `inpaint@cosine`."""
    names = set()
    for stage in stages:
        items = PIPELINE[stage].get("matrix", {}).get("schedule")
        names |= {f"{stage}@{item}".replace("${gamma}", gamma) for item in items or ()} or {stage}
    return names


def code(stage: str) -> list[str]:
    """The files and folders of code among a stage's deps."""
    return [dep for dep in STAGES[stage]["deps"] if dep.split("/")[0] in ("maskgit", "pipeline")]


def keys(entry: str) -> set[str]:
    """The parameters that an entry of `params` stands for: a section stands for all of its own."""
    return read_by(entry.split("."), Params)


def named_params(stage: str) -> list[str]:
    """The entries of a stage's `params`, but for those of presets.yaml."""
    return [entry for entry in STAGES[stage].get("params", ()) if isinstance(entry, str)]


def named_presets(stage: str) -> set[str]:
    """The parameters whose values in the preset a stage depends on."""
    found = set()
    for entry in STAGES[stage].get("params", ()):
        for path in entry["presets.yaml"] if isinstance(entry, dict) else ():
            _, *section = path.split(".")  # the first is the preset
            found |= keys(".".join(section)) if section else params_from_preset()
    return found


def params_from_preset() -> set[str]:
    """The parameters that params.yaml leaves to the preset."""
    return {
        f"{name}.{key}"
        for name, section in PARAMS.items()
        if isinstance(section, dict)
        for key, value in section.items()
        if value == FROM_PRESET
    }


def params_read(files: Iterable[str]) -> set[str]:
    """The parameters that these files read from a variable `params`, a section's as `data.size`.

    A section that is handed on counts as read whole. What is only told to MLflow (`run.log_...`)
    does not count.
    """
    found = set()
    for file in files:
        for chain in chains(ast.parse(Path(ROOT, file).read_text()), "params"):
            found |= read_by(chain, Params)
    return found


def chains(tree: ast.AST, root: str) -> list[list[str]]:
    """The attributes that are taken of a variable, `root.a.b` as [a, b]."""
    inner, found = set(), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("run."):
            inner |= {id(part) for argument in node.args for part in ast.walk(argument)}
        if isinstance(node, ast.Attribute):
            first, *rest = ast.unparse(node).split(".")
            if first == root and id(node) not in inner:
                found.append(rest)
                inner |= {id(part) for part in ast.walk(node)}
    return found


def is_read(name: str, kind: type[Section]) -> bool:
    """Whether an attribute is a parameter, or a property of a section, which reads some."""
    return name in kind.model_fields or isinstance(getattr(kind, name, None), property)


def read_by(chain: list[str], kind: type[Section]) -> set[str]:
    """The parameters behind a chain of attributes of a section; a method reads what it names."""
    name, *rest = chain
    if name in kind.model_fields:
        inner = kind.model_fields[name].annotation
        if not (isinstance(inner, type) and issubclass(inner, Section)):
            return {name}
        within = read_by(rest, inner) if rest else set(inner.model_fields)
        return {f"{name}.{key}" for key in within}
    member = getattr(kind, name)
    source = inspect.getsource(member.fget if isinstance(member, property) else member)
    own = chains(ast.parse(textwrap.dedent(source)), "self")
    read = [read_by(each, kind) for each in own if is_read(each[0], kind)]
    return set().union(*read) if read else set(kind.model_fields)
