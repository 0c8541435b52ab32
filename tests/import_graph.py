"""Which files of the project a module imports, directly or not."""

from functools import cache
from pathlib import Path

import grimp

from tests.clone import ROOT


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("maskgit", "pipeline", exclude_type_checking_imports=True)


def file_of(module: str) -> str:
    """Its path from the project's folder, with forward slashes."""
    path = Path(*module.split("."))
    package = ROOT / path / "__init__.py"
    return (path / "__init__.py" if package.is_file() else path.with_suffix(".py")).as_posix()


def closure(module: str, stop: tuple[str, ...] = ()) -> set[str]:
    """The files of all modules behind a module, its own included.

    stop: packages that are neither counted nor looked behind.
    """
    seen, todo = set(), [module]
    while todo:
        name = todo.pop()
        if name not in seen and not name.startswith(stop):
            seen.add(name)
            todo.extend(graph().find_modules_directly_imported_by(name))
    return {file_of(name) for name in seen}
