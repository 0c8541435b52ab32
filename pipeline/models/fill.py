"""Model folders as commands load them."""

from pathlib import Path

from maskgit import load
from maskgit.filling import Fill
from maskgit.model_folder import BadModel
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import MODEL_FOLDER


def load_fill(folder: Path) -> Fill:
    """The pipeline's own model, or anybody's. Raises UserError."""
    if folder == MODEL_FOLDER and not folder.exists():
        raise UserError(f"{folder} does not exist; run 'dvc repro' to make it")
    try:
        return load(folder)
    except BadModel as error:
        raise UserError(str(error)) from None
