"""Which files of the project a module imports or looks up in a registry, directly or not."""

from functools import cache
from pathlib import Path

import grimp

from maskgit.inpainting.registry import DECODERS
from maskgit.tokenizer.registry import TOKENIZERS
from maskgit.transformer.registry import TRANSFORMERS
from pipeline.plumbing.importers import IMPORTERS
from tests.clone import ROOT

# The places, "module:name", that a module looks up in a registry.
LOOKED_UP = {
    "maskgit.inpainting.kinds": [entry.place for entry in DECODERS.values()],
    "maskgit.inpainting.settings": [e.settings for e in DECODERS.values() if e.settings],
    "maskgit.tokenizer.kinds": list(TOKENIZERS.values()),
    "maskgit.transformer.kinds": list(TRANSFORMERS.values()),
    "pipeline.stages.train_vqgan": [e.place for name, e in IMPORTERS.items() if name == "vqgan"],
    "pipeline.stages.train_transformer": [
        e.place for name, e in IMPORTERS.items() if name == "train"
    ],
}


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
            todo.extend(place.split(":")[0] for place in LOOKED_UP.get(name, ()))
    return {file_of(name) for name in seen}
