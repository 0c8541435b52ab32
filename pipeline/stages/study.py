"""Stage study@DECODER (study/dvc.yaml): one decoder, tuned, by schedule, steps and kind of hole."""

import sys
from itertools import product

import numpy as np
import pandas as pd
from tqdm import tqdm

from maskgit.data.holes import draw_holes
from maskgit.device import keep_freed_memory, side_by_side
from maskgit.inpainting.inpainter import Inpainter
from maskgit.scoring.features import Extractor
from maskgit.scoring.score import Evaluation
from maskgit.scoring.scores import DECIDES, PERCEPTUAL, column_of, compute_scores
from maskgit.scoring.tuning import best_setting
from pipeline.models.inpainter import load_gamma, load_inpainter
from pipeline.plumbing.errors import plain_errors
from pipeline.plumbing.files import STUDY, fresh_folder, load_task
from pipeline.plumbing.params import Params, load_params
from pipeline.reporting.extractor import load_extractor
from pipeline.reporting.study import DECODERS, HOLE_KINDS, Plan
from pipeline.reporting.tables import image_table
from pipeline.tracking.stage import stage_run

IMAGES = 256  # at most, of the validation and of the test split


class Task:
    """Images with holes, `batch` to be filled at once, and what their fills are held against."""

    def __init__(self, images: np.ndarray, holes: np.ndarray, batch: int, extractor: Extractor):
        self.images, self.holes, self.batch, self.extractor = images, holes, batch, extractor
        self.features = extractor(images)

    def scores(
        self, inpainter: Inpainter, gamma: str, iterations: int, seed: int
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Every score of one setting, and the steps it took, image by image."""
        how, every = (load_gamma(gamma), [iterations], seed), range(len(self.images))

        def fill(indices: range) -> tuple[np.ndarray, np.ndarray]:
            batch = [part[indices.start : indices.stop] for part in (self.images, self.holes)]
            ((_, result),) = inpainter.each(*batch, *how, indices)
            return result.images, result.trajectory.steps().cpu().numpy()

        batches = [every[start : start + self.batch] for start in every[:: self.batch]]
        with side_by_side(fill, batches, inpainter.device) as results:
            filled, steps = map(np.concatenate, zip(*results, strict=True))
        held = Evaluation([filled], self.images, self.holes, self.features, self.extractor)
        return compute_scores(held), steps


def tune(inpainter: Inpainter, plan: Plan, task: Task, seed: int) -> pd.DataFrame:
    """Sets the best of the plan's temperatures on the inpainter; returns all that were tried."""
    tried = list(product(plan.temperatures, plan.choice_temperatures))
    rows = []
    for pair in tqdm(tried, "tune", unit="pair"):
        inpainter.temperature, inpainter.choice_temperature = pair
        columns, _ = task.scores(inpainter, plan.gammas[0], plan.tuned_at, seed)
        means = pd.DataFrame(columns).mean().to_dict()
        rows.append({"temperature": pair[0], "choice_temperature": pair[1]} | means)
    table = pd.DataFrame(rows)
    kernel, perceptual = (column_of(score, table).name for score in (DECIDES, PERCEPTUAL))
    best = best_setting(table[kernel], table[perceptual])
    inpainter.temperature, inpainter.choice_temperature = tried[best]
    return table.assign(chosen=np.arange(len(tried)) == best)


def run_plan(
    inpainter: Inpainter, plan: Plan, images: np.ndarray, extractor: Extractor, params: Params
) -> pd.DataFrame:
    """Every score of every setting on every kind of hole, image by image."""
    tables, settings = [], plan.settings()
    with tqdm(total=len(HOLE_KINDS) * len(settings), desc="study", unit="setting") as bar:
        for kind in HOLE_KINDS:
            area = params.data.hole_area
            holes = draw_holes(len(images), [kind], area, images.shape[1], params.seed)
            task = Task(images, holes, params.inpaint.batch_size, extractor)
            for gamma, iterations in settings:
                columns, steps = task.scores(inpainter, gamma, iterations, params.seed)
                tables.append(
                    image_table(gamma, iterations, holes, columns, steps).assign(hole_kind=kind)
                )
                bar.update()
    return pd.concat(tables, ignore_index=True)


def main(decoder: str) -> None:
    params, plan = load_params(), DECODERS[decoder]
    output = STUDY / decoder
    values = {"inpaint": params.inpaint.model_dump(), "decoder": decoder, "seed": params.seed}
    with stage_run("study", values, output, decoder) as run, fresh_folder(output) as folder:
        extractor = load_extractor(params.score.extractor, params.score.weights)
        sampler = params.inpaint.model_copy(update={"decoder": decoder})
        inpainter = load_inpainter(sampler)
        images, holes = (part[:IMAGES] for part in load_task("val"))
        validation = Task(images, holes, params.inpaint.batch_size, extractor)
        tuning = tune(inpainter, plan, validation, params.seed)
        test, _ = load_task("test")
        scores = run_plan(inpainter, plan, test[:IMAGES], extractor, params)
        scores.insert(0, "decoder", decoder)
        tuning.to_csv(folder / "tuning.csv", index=False)
        scores.to_csv(folder / "images.csv", index=False)
        run.log_table(tuning, "tuning.json")


if __name__ == "__main__":
    with plain_errors():
        keep_freed_memory()
        main(sys.argv[1])
