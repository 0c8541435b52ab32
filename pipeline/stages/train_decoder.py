"""Stage train_decoder: teaches a decoder to draw the mean codes that the transformer predicts.

It sees the images, views and holes that the transformer is trained on, and has the losses that the
tokenizer is trained by. Tokenizer and transformer stay as they are.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from maskgit import ranks
from maskgit.device import best_device
from maskgit.mean.codes import MeanLook
from maskgit.mean.decoder import MeanDecoder
from maskgit.perception import PerceptualLoss
from maskgit.pixels import to_float, to_uint8
from maskgit.tokenizer.vqgan import VQGAN
from maskgit.training.drawing import DrawingTrainer
from maskgit.transformer.guidance import GuidedTransformer
from maskgit.transformer.model import MaskedTransformer
from pipeline.models.checkpoints import build, load_model, read_model, save_model
from pipeline.models.loop import check_shares, train
from pipeline.plumbing.files import fresh_folder, load_array
from pipeline.plumbing.launch import network_stage
from pipeline.plumbing.params import Params, load_params
from pipeline.plumbing.places import MEAN_DECODER, MODEL, PREPARED, TOKENIZER, TRANSFORMER
from pipeline.plumbing.snapshots import snapshots_of
from pipeline.reporting.pictures import HOLE_COLOUR, grid, save_picture
from pipeline.tracking.stage import stage_run

VALIDATED = 512  # validation images that an evaluation fills
IMAGES_IN_PICTURE = 40  # validation images in the picture of fills


def load_teachers() -> tuple[dict, VQGAN, MaskedTransformer]:
    """Returns the tokenizer's arguments, the tokenizer, and the transformer without its guide."""
    tokenizer = load_model(TOKENIZER / MODEL, [VQGAN])
    transformer = load_model(TRANSFORMER / MODEL, [GuidedTransformer, MaskedTransformer])
    if isinstance(transformer, GuidedTransformer):
        transformer = transformer.trained
    return read_model(TOKENIZER / MODEL).config, tokenizer, transformer


@torch.inference_mode()
def fill_holes(
    model: MeanDecoder, look: MeanLook, images: np.ndarray, holes: np.ndarray
) -> np.ndarray:
    """Returns the images with filled holes, uint8 (N, H, W, 3), as the training sees them."""
    device = best_device()
    inputs = look(to_float(images, device), torch.from_numpy(holes).to(device))
    return np.where(holes[..., None], to_uint8(model(*inputs).clamp(-1, 1)), images)


def save(
    folder: Path,
    config: dict,
    model: MeanDecoder,
    look: MeanLook,
    history: list[dict],
    validation: tuple[np.ndarray, np.ndarray],
) -> None:
    """Writes the decoder, its history and a picture of fills."""
    save_model(folder / MODEL, config, model)
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
    images, holes = (part[:IMAGES_IN_PICTURE] for part in validation)
    holed = np.where(holes[..., None], HOLE_COLOUR, images)
    filled = fill_holes(model, look, images, holes)
    save_picture(folder / "fills.png", grid(holed, 10), grid(filled, 10))
    best = min((row for row in history if "val_loss" in row), key=lambda row: row["val_loss"])
    print(f"mean_decoder: {best['val_psnr']:.2f} dB in the holes of the validation images")


def leave_out(params: Params) -> None:
    """Writes an empty folder where no decoder is taught."""
    if ranks.rank():
        return
    with stage_run("train_decoder", params, MEAN_DECODER), fresh_folder(MEAN_DECODER):
        print("mean_decoder: none is taught; mean_decoder.steps is 0 or the tokenizer is imported")


def main() -> None:
    params = load_params()
    if not params.mean_decoder.steps or read_model(TOKENIZER / MODEL).kind != VQGAN.__name__:
        return leave_out(params)
    settings, views, seed = params.mean_decoder, params.encode.views, params.seed
    images = load_array(PREPARED / "train.npy", mmap_mode="r")
    holes = load_array(PREPARED / "train_holes.npy")
    names = "val.npy", "val_holes.npy"
    validation = tuple(load_array(PREPARED / name)[:VALIDATED] for name in names)
    check_shares(settings.batch_size)
    values = {"mean_decoder": settings.model_dump(), "views": views, "seed": seed}
    with (
        snapshots_of("train_decoder", values) as snapshots,
        stage_run("train_decoder", params, MEAN_DECODER, key=snapshots.run_key) as run,
    ):
        torch.manual_seed(seed)
        config, tokenizer, transformer = load_teachers()
        model = build(MeanDecoder, config).copy_weights(tokenizer)
        look = MeanLook(tokenizer, transformer)
        perceptual = PerceptualLoss().to(best_device()) if settings.perceptual_weight else None
        network = model, look, model.hidden_convolutions()
        data = images, holes, views, validation
        trainer = DrawingTrainer(*network, *data, settings, perceptual, seed)
        history = train(trainer, snapshots, run, "train mean decoder")
        if ranks.rank():
            return
        with fresh_folder(MEAN_DECODER) as folder:
            save(folder, config, trainer.best.model, look, history, validation)


if __name__ == "__main__":
    with network_stage():
        main()
