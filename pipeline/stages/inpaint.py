"""Stage inpaint@SCHEDULE: images, holes, both models -> filled images and how they came."""

import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from tqdm import tqdm

from maskgit import ranks
from maskgit.inpainting.inpainter import Inpainted, Inpainter
from maskgit.schedules import Gamma, linear
from pipeline.models.inpainter import load_gamma, load_inpainter
from pipeline.plumbing.errors import plain_errors
from pipeline.plumbing.files import (
    INPAINTED,
    STEPS_CSV,
    load_task,
    results_folder,
)
from pipeline.plumbing.launch import several_processes, shared_folder
from pipeline.plumbing.params import ONE_PASS, Inpaint, load_params
from pipeline.reporting.pictures import grid, save_picture
from pipeline.tracking.stage import stage_run

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


def load_method(name: str, inpaint: Inpaint) -> tuple[Inpainter, Gamma]:
    """The inpainter and the schedule it follows; in one pass, none matters."""
    if name != ONE_PASS:
        return load_inpainter(inpaint), load_gamma(name)
    most_likely = {"decoder": "confidence", "temperature": 0.0, "guidance": 0.0}
    return load_inpainter(inpaint.model_copy(update=most_likely)), linear


def main(schedule: str) -> None:
    params = load_params()
    inpaint = params.inpaint
    images, holes = load_task(inpaint.split)
    output = INPAINTED / schedule
    values = {"inpaint": inpaint.model_dump(), "schedule": schedule, "seed": params.seed}
    with stage_run("inpaint", values, output, schedule) as run, shared_folder(output) as folder:
        inpainter, gamma = load_method(schedule, inpaint)
        counts, fills = inpaint.plan(schedule)
        steps = torch.zeros(len(counts), fills, len(images), dtype=torch.int64)
        every, size = range(len(images)), inpaint.batch_size
        batches = [every[start : start + size] for start in ranks.share(every[::size])]
        total = sum(map(len, batches)) * len(counts) * fills
        with tqdm(total=total, desc=f"inpaint {schedule}", unit="image") as bar:
            for indices, fill in product(batches, range(fills)):
                start, stop = indices.start, indices.stop
                batch = images[start:stop], holes[start:stop]
                filled = inpainter.each(*batch, gamma, counts, params.seed, indices, fill)
                for number, (count, result) in enumerate(filled):
                    where = folder / str(count)
                    save_results(where / results_folder(fill), result.images, start)
                    steps[number, fill, start:stop] = result.trajectory.steps().cpu()
                    if start == fill == 0:
                        save_iterations(where, inpainter, *batch, result)
                    bar.update(len(result.images))
        steps = ranks.summed(steps).numpy()
        if ranks.rank():
            return
        for count, taken in zip(counts, steps, strict=True):
            table = pd.DataFrame({"image": range(len(images)), "steps": taken.mean(axis=0)})
            table.to_csv(folder / str(count) / STEPS_CSV, index=False)
        for picture in folder.rglob("test_*.png"):
            run.log_artifact(picture, picture.parent.relative_to(folder).as_posix())


if __name__ == "__main__":
    with plain_errors(), several_processes():
        main(sys.argv[1])
