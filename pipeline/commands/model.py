"""Model folders that commands work with: the pipeline's own, or anybody's."""

import shutil
from pathlib import Path

from maskgit import load
from maskgit.filling import Fill
from maskgit.inpainting.settings import Decoding
from maskgit.model_folder import BadModel
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import MODEL_FOLDER


def load_fill(folder: Path) -> Fill:
    """Raises UserError."""
    if folder == MODEL_FOLDER and not folder.exists():
        raise UserError(f"{folder} does not exist; run 'dvc repro' to make it")
    try:
        return load(folder)
    except BadModel as error:
        raise UserError(str(error)) from None


def wanted_decoding(fill: Fill, **changes: object) -> Decoding:
    """How to fill, with a command's options in place of what they name. Raises UserError."""
    try:
        return fill.decoding(**changes)
    except ValueError as error:
        raise UserError(f"--{error}") from None


def export(folder: Path, out: Path) -> None:
    """Copies a model folder that can be loaded, all its files. Raises UserError."""
    load_fill(folder)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and is not an empty folder; name another")
    shutil.copytree(folder, out, dirs_exist_ok=True)
