"""What the trainings of networks that draw into holes have in common: their data and results."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from maskgit.data.known_pixels import known_pixels
from maskgit.pixels import to_uint8
from maskgit.training.drawing import DrawingTrainer
from pipeline.models.checkpoints import save_model
from pipeline.plumbing.files import load_array
from pipeline.plumbing.places import MODEL, PREPARED
from pipeline.reporting.pictures import HOLE_COLOUR, grid, save_picture

VALIDATED = 512  # validation images that an evaluation fills
IMAGES_IN_PICTURE = 40  # validation images in the picture of fills


def load_drawing_data(views: int) -> tuple:
    """Returns what `DrawingTrainer` is trained on, in its order: from images to validation."""
    images = load_array(PREPARED / "train.npy", mmap_mode="r")
    holes = load_array(PREPARED / "train_holes.npy")
    names = "val.npy", "val_holes.npy"
    validation = tuple(load_array(PREPARED / name)[:VALIDATED] for name in names)
    return images, holes, views, validation


def save_drawing(
    folder: Path, name: str, config: dict, trainer: DrawingTrainer, history: list[dict]
) -> None:
    """Writes the best network, its history and a picture of fills."""
    save_model(folder / MODEL, config, trainer.best.model)
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
    images, holes = (part[:IMAGES_IN_PICTURE] for part in trainer.validation)
    holed = np.where(holes[..., None], HOLE_COLOUR, images)
    filled = fill_as_trained(trainer, images, holes)
    save_picture(folder / "fills.png", grid(holed, 10), grid(filled, 10))
    best = evaluation_of(trainer.best.loss, history)
    print(f"{name}: {best['val_psnr']:.2f} dB in the holes of the validation images")


def evaluation_of(loss: float, history: list[dict]) -> dict:
    """Returns the row of an evaluation; its mean over the ranks may differ in the last bit."""
    evaluated = [row for row in history if "val_loss" in row]
    return min(evaluated, key=lambda row: abs(row["val_loss"] - loss))


@torch.inference_mode()
def fill_as_trained(trainer: DrawingTrainer, images: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """Returns uint8 images (N, H, W, 3), their holes filled by the best network, not blended."""
    known = known_pixels(images, holes, trainer.device)
    inputs = trainer.inputs(known, torch.from_numpy(holes).to(trainer.device))
    drawn = to_uint8(trainer.best.model(*inputs).clamp(-1, 1))
    return np.where(holes[..., None], drawn, images)
