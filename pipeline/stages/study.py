"""Stage study@DECODER (study/dvc.yaml): tunes a decoder, scores its settings by kind of hole."""

import sys
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from maskgit.data.holes import draw_holes
from maskgit.device import keep_freed_memory
from maskgit.inpainting.inpainter import Inpainter
from maskgit.inpainting.kinds import make_inpainter
from maskgit.inpainting.settings import Sampler
from maskgit.parallel import parallel_map
from maskgit.schedules import make_gamma
from maskgit.scoring.features import Extractor
from maskgit.scoring.score import Evaluation
from maskgit.scoring.scores import DECIDES, PERCEPTUAL, column_of, compute_scores
from maskgit.scoring.tuning import best_setting
from maskgit.tokenizer.kinds import Tokenizer
from maskgit.transformer.kinds import Transformer
from pipeline.models.inpainter import load_networks, load_uncertainty
from pipeline.plumbing.copies import check_results_are_kept
from pipeline.plumbing.errors import plain_errors
from pipeline.plumbing.files import fresh_folder, load_task
from pipeline.plumbing.params import Params, load_params
from pipeline.plumbing.places import STUDY
from pipeline.reporting.extractor import load_reference_extractors
from pipeline.reporting.study_plans import HOLE_KINDS, PLANS, Plan
from pipeline.reporting.tables import image_table, pictures_of
from pipeline.tracking.stage import stage_run

IMAGES = 256  # the most that are used of the validation and of the test split


class Scored(NamedTuple):
    """Every score by the name of its column, (N,) each, and the steps taken, (N,)."""

    columns: dict[str, np.ndarray]
    steps: np.ndarray


class StudySet:
    """Images with holes, on which settings are scored.

    Each hole is filled params.study.fills times, params.inpaint.batch_size images at once.
    """

    def __init__(
        self,
        images: np.ndarray,
        holes: np.ndarray,
        extractors: list[Extractor],
        params: Params,
    ):
        self.images, self.holes = images, holes
        self.judges = [(extractor(images), extractor) for extractor in extractors]
        self.batch, self.seed = params.inpaint.batch_size, params.seed
        self.fills = params.study.fills

    def scores(self, inpainter: Inpainter, gamma: str, iterations: int) -> list[Scored]:
        """Returns every score of one setting and the steps taken, for each image, of each fill."""
        return [self._scores(inpainter, gamma, iterations, fill) for fill in range(self.fills)]

    def _scores(self, inpainter: Inpainter, gamma: str, iterations: int, variant: int) -> Scored:
        schedule, every = make_gamma(gamma, load_uncertainty()), range(len(self.images))

        def fill(indices: range) -> tuple[np.ndarray, np.ndarray]:
            batch = [part[indices.start : indices.stop] for part in (self.images, self.holes)]
            ((_, result),) = inpainter.sweep_iterations(
                *batch, schedule, [iterations], self.seed, indices, variant
            )
            return result.images, result.trajectory.steps().cpu().numpy()

        batches = [every[start : start + self.batch] for start in every[:: self.batch]]
        with parallel_map(fill, batches, inpainter.device) as results:
            filled, steps = map(np.concatenate, zip(*results, strict=True))
        task = [filled], self.images, self.holes
        return Scored(compute_scores(*[Evaluation(*task, *j) for j in self.judges]), steps)


def tune(
    sampler: Sampler, networks: tuple[Tokenizer, Transformer], plan: Plan, images: StudySet
) -> tuple[Sampler, pd.DataFrame]:
    """Returns the sampler with the best of the plan's temperatures, and the scores of all pairs."""
    pairs = product(plan.temperatures, plan.choice_temperatures)
    tried = [sampler.changed(temperature=t, choice_temperature=c) for t, c in pairs]
    rows = []
    for one in tqdm(tried, "tune", unit="pair"):
        inpainter = make_inpainter(one, *networks)
        fills = images.scores(inpainter, plan.gammas[0], plan.tuned_at)
        rows.append(one.model_dump(include={"temperature", "choice_temperature"}))
        rows[-1] |= pd.concat([pd.DataFrame(fill.columns) for fill in fills]).mean().to_dict()
    table = pd.DataFrame(rows)
    kernel, perceptual = (column_of(score, table).name for score in (DECIDES, PERCEPTUAL))
    best = best_setting(table[kernel], table[perceptual])
    return tried[best], table.assign(chosen=np.arange(len(tried)) == best)


def run_plan(
    inpainter: Inpainter,
    plan: Plan,
    images: np.ndarray,
    pictures: np.ndarray,
    extractors: list[Extractor],
    params: Params,
) -> pd.DataFrame:
    """Returns every score of every setting on every kind of hole, for each image and fill.

    Where each hole is filled once, the column `fill` is left out. pictures: see `image_table`.
    """
    tables, settings = [], plan.settings()
    with tqdm(total=len(HOLE_KINDS) * len(settings), desc="study", unit="setting") as bar:
        for kind in HOLE_KINDS:
            area = params.data.hole_area
            holes = draw_holes(len(images), [kind], area, images.shape[1], params.seed)
            test = StudySet(images, holes, extractors, params)
            for gamma, iterations in settings:
                for fill, scored in enumerate(test.scores(inpainter, gamma, iterations)):
                    table = image_table(gamma, iterations, holes, *scored, pictures)
                    numbered = {"fill": fill} if test.fills > 1 else {}
                    tables.append(table.assign(hole_kind=kind, **numbered))
                bar.update()
    return pd.concat(tables, ignore_index=True)


def main(decoder: str) -> None:
    check_results_are_kept()
    params, plan = load_params(), PLANS[decoder]
    output = STUDY / decoder
    with stage_run("study", params, output, decoder), fresh_folder(output) as folder:
        extractors = load_reference_extractors(params.score.weights)
        networks = load_networks()
        images, holes = (part[:IMAGES] for part in load_task("val"))
        validation = StudySet(images, holes, extractors, params)
        sampler = params.inpaint.changed(decoder=decoder)
        sampler, tuning = tune(sampler, networks, plan, validation)
        inpainter = make_inpainter(sampler, *networks)
        test, _ = load_task("test")
        chosen = test[:IMAGES], pictures_of(len(test), params.data.windows)[:IMAGES]
        scores = run_plan(inpainter, plan, *chosen, extractors, params)
        scores.insert(0, "decoder", decoder)
        tuning.to_csv(folder / "tuning.csv", index=False)
        scores.to_csv(folder / "images.csv", index=False)


if __name__ == "__main__":
    with plain_errors():
        keep_freed_memory()
        main(sys.argv[1])
