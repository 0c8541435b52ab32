"""Reads YAML files by the library that DVC uses, without aliases and custom tags."""

from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.composer import Composer
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.events import AliasEvent

from pipeline.plumbing.errors import UserError


class PlainComposer(Composer):
    """A composer that refuses aliases, since a few of them can stand for billions of values."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.parser.check_event(AliasEvent):
            raise YAMLError("aliases (*) are not supported")
        return super().compose_node(parent, index)


class PlainConstructor(SafeConstructor):
    """A constructor that names a duplicate key in one line."""

    def check_mapping_key(
        self, node: Any, key_node: Any, mapping: Any, key: Any, value: Any
    ) -> bool:
        if key in mapping:
            raise YAMLError(f"{key_node.value!r} stands there twice")
        return True


# Errors of ruamel.yaml for values that do not fit their tags (!!int x) and for deep nesting.
_NO_VALUE = (TypeError, AttributeError, LookupError, OverflowError, RecursionError)
MAX_YAML_BYTES = 10**6


def parse_yaml(text: str) -> Any:
    """Returns what a text in YAML 1.2 says. Raises YAMLError or ValueError for any other text."""
    return deepcopy(_parse(text))


@lru_cache(maxsize=16)  # a stage asks for the same few files a hundred times
def _parse(text: str) -> Any:
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer, yaml.Constructor = PlainComposer, PlainConstructor
    return yaml.load(text)


def read_yaml(path: Path, expected: str = "sections like 'data:' and 'train:'") -> dict:
    """Reads a file that holds a mapping.

    Raises UserError in one line that says what is wrong, or what was `expected`.
    """
    try:
        if path.stat().st_size > MAX_YAML_BYTES:
            raise ValueError("larger than a megabyte")
        values = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"there is no {path}; run the command in the project's folder") from None
    except OSError as error:
        raise UserError(f"{path.name} cannot be read: {error.strerror}") from None
    except (YAMLError, ValueError) as error:
        raise UserError(f"{path.name} cannot be read: {' '.join(str(error).split())}") from None
    except _NO_VALUE:
        fault = "a value that its tag (!!) does not fit, or too deep a nesting"
        raise UserError(f"{path.name} cannot be read: {fault}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path.name}: expected {expected}")
    return values
