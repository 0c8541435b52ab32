"""Finds and loads the model folders that commands fill with."""

from pathlib import Path

from maskgit import load
from maskgit.checkpoints import ForeignCheckpoint
from maskgit.filling import Fill
from maskgit.model_folder import CONFIG, BadModel
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.hashing import verify_checksum
from pipeline.plumbing.places import MODEL_FOLDER, WEIGHTS


def default_model_folder() -> Path:
    """Returns the folder of the model that the pipeline trained, else of the shipped one."""
    return MODEL_FOLDER if MODEL_FOLDER.exists() else shipped_weights()


def shipped_weights() -> Path:
    """Returns the folder of the model that comes with the project, from any working directory.

    In a clone the folder lies beside the package `pipeline`; a wheel carries it inside.
    """
    package = Path(__file__).parents[1]
    for place in (package / WEIGHTS, package.parent / WEIGHTS):
        if place.exists():
            return WEIGHTS if WEIGHTS.exists() and WEIGHTS.samefile(place) else place
    return MODEL_FOLDER


def load_fill(folder: Path) -> Fill:
    """Loads a model folder. Raises UserError.

    Of the pipeline's own model the settings are checked, too; 'dvc repro' makes it again.
    """
    own = folder == MODEL_FOLDER
    if own:
        verify_checksum(folder / CONFIG)
    try:
        return load(folder)
    except BadModel as error:
        damaged = own and not isinstance(error.__cause__, ForeignCheckpoint)
        mend = "; 'dvc repro' makes it again" if damaged else ""
        raise UserError(f"{error}{mend}") from None
