"""YAML files as DVC reads them, and nothing that could do harm."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from pipeline.plumbing.errors import UserError


class PlainLoader(yaml.SafeLoader):
    """No tags that make objects, no key twice, no aliases: a few stand for billions of values."""

    def compose_node(self, parent: Any, index: Any) -> yaml.Node:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*) are not supported")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        if keys and max(keys.values()) > 1:
            raise yaml.YAMLError(f"{keys.most_common(1)[0][0]!r} stands there twice")
        return super().construct_mapping(node, deep)


# PyYAML reads YAML 1.1: 2e-3 is text there, yes is true, 010 is 8 and 1:30 is 90. DVC reads 1.2.
# The patterns are those of DVC's reader, its oddities (no .5e3) included.
_VERSION_1_2 = {
    "bool": ("true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": ("[-+]?(0b[01_]+|0o?[0-7_]+|[0-9][0-9_]*|0x[0-9a-fA-F_]+)", "-+0123456789"),
    "float": (
        r"[-+]?[0-9][0-9_]*(\.[0-9_]*([eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)"
        r"|[-+]?\.[0-9_]+([eE][-+][0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
}


def _whole_number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node).replace("_", "")
    return int(text, 0 if re.match("[-+]?0[box]", text) else 10)


def _read_version_1_2() -> None:
    """Gives PlainLoader, which inherits 1.1 from PyYAML, the scalars of YAML 1.2."""
    tags = {f"tag:yaml.org,2002:{name}" for name in _VERSION_1_2}
    PlainLoader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag not in tags]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for name, (pattern, first) in _VERSION_1_2.items():
        tag = f"tag:yaml.org,2002:{name}"
        PlainLoader.add_implicit_resolver(tag, re.compile(f"(?:{pattern})$"), list(first))
    PlainLoader.add_constructor("tag:yaml.org,2002:int", _whole_number)


_read_version_1_2()

# What PyYAML lets through from values that their tags do not fit (!!int x) and from deep nesting.
_NO_VALUE = (TypeError, AttributeError, LookupError, OverflowError, RecursionError)
MAX_YAML_BYTES = 10**6


def read_yaml(path: Path, expected: str = "sections like 'data:' and 'train:'") -> dict:
    """A file that holds a mapping. Raises UserError in one line that says what was `expected`."""
    try:
        if path.stat().st_size > MAX_YAML_BYTES:
            raise ValueError("larger than a megabyte")
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=PlainLoader)
    except OSError as error:
        raise UserError(f"{path.name} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path.name} cannot be read: {' '.join(str(error).split())}") from None
    except _NO_VALUE:
        fault = "a value that its tag (!!) does not fit, or too deep a nesting"
        raise UserError(f"{path.name} cannot be read: {fault}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path.name}: expected {expected}")
    return values
