"""Stage inpaint@SCHEDULE: images, holes, both models -> filled images and how they came."""

import sys
from pathlib import Path

import mlflow
import numpy as np
from PIL import Image
from tqdm import tqdm

from maskgit.decoders import make_inpainter
from maskgit.inpainting import Inpainted, Inpainter, image_generators
from maskgit.lab import LabChoices
from maskgit.schedules import SCHEDULES
from maskgit.transformer import MaskedTransformer
from maskgit.vqgan import VQGAN
from pipeline.checkpoints import load_model
from pipeline.errors import plain_errors
from pipeline.files import INPAINTED, MODEL, TOKENIZER, TRANSFORMER, fresh_folder, load_task
from pipeline.params import load_params
from pipeline.pictures import grid, save_picture
from pipeline.tracking import stage_run

SHOWN = 16  # images in the pictures of each iteration


def save_results(folder: Path, images: np.ndarray, first: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images, start=first):
        Image.fromarray(image).save(folder / f"image_{i:03d}.png")


def save_iterations(
    folder: Path, inpainter: Inpainter, images: np.ndarray, hole: np.ndarray, result: Inpainted
) -> None:
    """Two pictures an iteration: which tokens are still hidden, and the images so far."""
    for step in range(len(result.trajectory.tokens)):
        masks, views = inpainter.snapshot(images, hole, result.trajectory, step)
        save_picture(folder / f"mask_scheduling/test_{step}.png", grid(masks[:SHOWN], 8))
        save_picture(folder / f"imga/test_{step}.png", grid(views[:SHOWN], 8))


def main(schedule: str) -> None:
    params = load_params()
    inpaint = params.inpaint
    images, holes = load_task(inpaint.split)
    output = INPAINTED / schedule
    values = {"inpaint": inpaint.model_dump(), "schedule": schedule, "seed": params.seed}
    with stage_run("inpaint", values, output, schedule), fresh_folder(output) as folder:
        inpainter = make_inpainter(
            inpaint.decoder,
            load_model(TOKENIZER / MODEL, VQGAN),
            load_model(TRANSFORMER / MODEL, MaskedTransformer),
            LabChoices(**inpaint.lab.model_dump()),
        )
        batches = range(0, len(images), inpaint.batch_size)
        with tqdm(total=len(images) * sum(inpaint.iterations), unit="image step") as bar:
            for iterations in inpaint.iterations:
                bar.set_description(f"inpaint {schedule}, {iterations} iterations")
                for start in batches:
                    chosen = slice(start, start + inpaint.batch_size)
                    result = inpainter(
                        images[chosen],
                        holes[chosen],
                        SCHEDULES[schedule],
                        iterations,
                        image_generators(params.seed, range(len(images))[chosen]),
                        inpaint.temperature,
                        inpaint.choice_temperature,
                    )
                    where = folder / str(iterations)
                    save_results(where / "test_results", result.images, start)
                    if start == 0:
                        save_iterations(where, inpainter, images[chosen], holes[chosen], result)
                    bar.update(len(result.images) * iterations)
        for picture in folder.rglob("test_*.png"):
            mlflow.log_artifact(picture, picture.parent.relative_to(folder).as_posix())


if __name__ == "__main__":
    with plain_errors():
        main(sys.argv[1])
