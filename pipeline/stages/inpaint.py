"""Stage inpaint@SCHEDULE: fills the holes of images, and draws the steps of decoding."""

import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from maskgit import ranks
from maskgit.inpainting.decoders import Confidence
from maskgit.inpainting.inpainter import Inpainted, Inpainter
from maskgit.parallel import background, parallel_map
from maskgit.schedules import Gamma, linear, make_gamma
from pipeline.models.inpainter import (
    load_inpainter,
    load_mean_inpainter,
    load_networks,
    load_uncertainty,
)
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import fresh_folder, load_task
from pipeline.plumbing.launch import network_stage, shared_folder
from pipeline.plumbing.params import MEAN, ONE_PASS, Inpaint, load_params
from pipeline.plumbing.places import INPAINTED, STEPS_CSV, has_mean_decoder, results_folder
from pipeline.plumbing.seconds import seconds_of
from pipeline.reporting.pictures import grid, save_picture, save_results
from pipeline.tracking.stage import stage_run

IMAGES_IN_PICTURE = 16  # the first of all images, in the pictures of each iteration


class FillJob(NamedTuple):
    """Images uint8 (N, H, W, 3) with holes bool (N, H, W), and how to fill them in batches."""

    images: np.ndarray
    holes: np.ndarray
    inpainter: Inpainter
    gamma: Gamma
    counts: list[int]
    seed: int
    folder: Path
    background: Callable[..., None]  # see `maskgit.parallel.background`

    def fill(self, piece: tuple[range, int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Fills and saves a batch for each number of iterations.

        piece: numbers of the images, and number of the variant. Returns the steps taken, int64
        (counts, n), and the seconds that filling took, float64 (counts,).
        """
        indices, variant = piece
        batch = [part[indices.start : indices.stop] for part in (self.images, self.holes)]
        filled = self.inpainter.sweep_iterations(
            *batch, self.gamma, self.counts, self.seed, indices, variant
        )
        steps, seconds, started = [], [], perf_counter()
        for count, result in filled:
            seconds.append(perf_counter() - started)
            where = self.folder / str(count)
            results = where / results_folder(variant)
            self.background(save_results, results, result.images, indices.start)
            steps.append(result.trajectory.steps().cpu())
            if indices.start == variant == 0:
                save_iterations(where, self.inpainter, *batch, result)
            started = perf_counter()  # saving does not count
        return torch.stack(steps), torch.tensor(seconds, dtype=torch.float64)


def save_iterations(
    folder: Path, inpainter: Inpainter, images: np.ndarray, hole: np.ndarray, result: Inpainted
) -> None:
    """Writes two pictures for each iteration: the hidden tokens, and the images so far."""
    for step in range(len(result.trajectory.tokens)):
        masks, views = inpainter.snapshot(images, hole, result.trajectory, step)
        first_masks, first_views = masks[:IMAGES_IN_PICTURE], views[:IMAGES_IN_PICTURE]
        save_picture(folder / f"mask_scheduling/test_{step}.png", grid(first_masks, 8))
        save_picture(folder / f"imga/test_{step}.png", grid(first_views, 8))


def warm_up(job: FillJob, size: int) -> None:
    """Fills some images before any are timed: a GPU loads its programs in its first fill."""
    batch = job.images[:size], job.holes[:size]
    task = *batch, job.gamma, job.counts[:1], job.seed, range(len(batch[0]))
    for _ in job.inpainter.sweep_iterations(*task):
        pass


def load_method(name: str, inpaint: Inpaint) -> tuple[Inpainter, Gamma]:
    """Returns the inpainter and the schedule of a method; in one step, schedules are equal."""
    if name == MEAN:
        return load_mean_inpainter(inpaint), linear
    if name != ONE_PASS:
        return load_inpainter(inpaint), make_gamma(name, load_uncertainty())
    most_likely = Confidence(temperature=0.0)
    return Inpainter(*load_networks(), most_likely, inpaint.seamless), linear


def leave_out(output: Path) -> None:
    """Writes an empty folder for a method that the models do not have."""
    if not ranks.rank():
        with fresh_folder(output):
            print(f"{output.name}: left out, since there is no decoder of mean codes")


def main(schedule: str) -> None:
    params = load_params()
    inpaint = params.inpaint
    images, holes = load_task(inpaint.split)
    output = INPAINTED / schedule
    if inpaint.reading == MEAN and not has_mean_decoder():
        raise UserError("inpaint.reading is mean, but the models have no decoder of mean codes")
    if schedule == MEAN and not has_mean_decoder():
        return leave_out(output)
    with (
        stage_run("inpaint", params, output, schedule),
        seconds_of(output) as times,
        shared_folder(output) as folder,
    ):
        inpainter, gamma = load_method(schedule, inpaint)
        counts, fills = inpaint.plan(schedule)
        steps = torch.zeros(len(counts), fills, len(images), dtype=torch.int64)
        seconds = torch.zeros(len(counts), dtype=torch.float64)
        every, size = range(len(images)), inpaint.batch_size
        batches = [every[start : start + size] for start in ranks.shard(every[::size])]
        pieces = list(product(batches, range(fills)))
        total = sum(map(len, batches)) * fills * len(counts)
        with (
            tqdm(total=total, desc=f"inpaint {schedule}", unit="image") as bar,
            background(inpainter.device) as begin,
        ):
            job = FillJob(images, holes, inpainter, gamma, counts, params.seed, folder, begin)
            if inpainter.device.type != "cpu":
                warm_up(job, size)
            with parallel_map(job.fill, pieces, inpainter.device) as filled:
                for (indices, variant), (taken, elapsed) in zip(pieces, filled, strict=True):
                    steps[:, variant, indices.start : indices.stop] = taken
                    seconds += elapsed
                    bar.update(taken.numel())
        steps = ranks.all_reduce_sum(steps).numpy()
        seconds = ranks.all_reduce_sum(seconds) / (len(images) * fills)
        if ranks.rank():
            return
        for count, taken in zip(counts, steps, strict=True):
            table = pd.DataFrame({"image": range(len(images)), "steps": taken.mean(axis=0)})
            table.to_csv(folder / str(count) / STEPS_CSV, index=False)
        if not inpainter.sweeps_in_one_run:
            each = zip(counts, seconds.tolist(), strict=True)
            times += [(schedule, count, taken) for count, taken in each]


if __name__ == "__main__":
    with network_stage():
        main(sys.argv[1])
