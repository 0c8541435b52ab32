"""Model folders as commands load them."""

from pathlib import Path

from maskgit import load
from maskgit.checkpoints import ForeignCheckpoint
from maskgit.filling import Fill
from maskgit.model_folder import CONFIG, PARTS, BadModel
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import MODEL_FOLDER, WEIGHTS, check_sum

SHIPPED = Path(__file__).resolve().parents[2] / WEIGHTS  # of the project that is installed


def model_at_hand() -> Path:
    """The model that the project in this folder trained, or before it did the one it came with.

    In any other folder the model that came with the installed project.
    """
    at_hand = (folder for folder in (MODEL_FOLDER, WEIGHTS, SHIPPED) if folder.exists())
    return next(at_hand, MODEL_FOLDER)


def load_fill(folder: Path) -> Fill:
    """The pipeline's own model, or anybody's; 'dvc repro' mends the former. Raises UserError."""
    own = folder == MODEL_FOLDER
    if own:
        for name in (CONFIG, *(f"{part}.safetensors" for part in PARTS)):
            check_sum(folder / name)
    try:
        return load(folder)
    except BadModel as error:
        damaged = own and not isinstance(error.__cause__, ForeignCheckpoint)
        mend = "; 'dvc repro' makes it again" if damaged else ""
        raise UserError(f"{error}{mend}") from None
