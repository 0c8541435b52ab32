"""Stage train_feed_forward (feed_forward/dvc.yaml): trains a network to compare the sampler with.

It sees the images, views and holes that the transformer is trained on, and has the losses that the
tokenizer is trained by.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from maskgit import ranks
from maskgit.device import best_device
from maskgit.feed_forward.filling import fill_holes, look
from maskgit.feed_forward.settings import UNetConfig
from maskgit.feed_forward.unet import UNet
from maskgit.perception import PerceptualLoss
from maskgit.training.drawing import DrawingTrainer
from pipeline.models.checkpoints import build, save_model
from pipeline.models.loop import check_shares, train
from pipeline.plumbing.files import fresh_folder, load_array
from pipeline.plumbing.launch import network_stage
from pipeline.plumbing.params import load_params
from pipeline.plumbing.places import FEED_FORWARD, MODEL, PREPARED
from pipeline.plumbing.snapshots import snapshots_of
from pipeline.reporting.pictures import HOLE_COLOUR, grid, save_picture
from pipeline.tracking.stage import stage_run

VALIDATED = 512  # validation images that an evaluation fills
IMAGES_IN_PICTURE = 40  # validation images in the picture of fills


def save(
    folder: Path,
    config: dict,
    model: UNet,
    history: list[dict],
    validation: tuple[np.ndarray, np.ndarray],
) -> None:
    """Writes the network, its history and a picture of fills."""
    save_model(folder / MODEL, config, model)
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
    images, holes = (part[:IMAGES_IN_PICTURE] for part in validation)
    holed = np.where(holes[..., None], HOLE_COLOUR, images)
    filled = fill_holes(model, images, holes)
    save_picture(folder / "fills.png", grid(holed, 10), grid(filled, 10))
    best = min((row for row in history if "val_loss" in row), key=lambda row: row["val_loss"])
    print(f"feed_forward: {best['val_psnr']:.2f} dB in the holes of the validation images")


def main() -> None:
    params = load_params()
    settings, views, seed = params.feed_forward, params.encode.views, params.seed
    images = load_array(PREPARED / "train.npy", mmap_mode="r")
    holes = load_array(PREPARED / "train_holes.npy")
    names = "val.npy", "val_holes.npy"
    validation = tuple(load_array(PREPARED / name)[:VALIDATED] for name in names)
    check_shares(settings.batch_size)
    values = {"feed_forward": settings.model_dump(), "views": views, "seed": seed}
    with (
        snapshots_of("train_feed_forward", values) as snapshots,
        stage_run("train_feed_forward", params, FEED_FORWARD, key=snapshots.run_key) as run,
    ):
        torch.manual_seed(seed)
        config = settings.part(UNetConfig).model_dump()
        model = build(UNet, config)
        perceptual = PerceptualLoss().to(best_device()) if settings.perceptual_weight else None
        network = model, look, model.hidden_convolutions()
        data = images, holes, views, validation
        trainer = DrawingTrainer(*network, *data, settings, perceptual, seed)
        history = train(trainer, snapshots, run, "train feed_forward")
        if ranks.rank():
            return
        with fresh_folder(FEED_FORWARD) as folder:
            save(folder, config, trainer.best.model, history, validation)


if __name__ == "__main__":
    with network_stage():
        main()
