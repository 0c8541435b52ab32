"""Stage study@DECODER (study/dvc.yaml): tunes a decoder, scores its settings by kind of hole."""

import sys
from itertools import product

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
from pipeline.plumbing.errors import plain_errors
from pipeline.plumbing.files import fresh_folder, load_task
from pipeline.plumbing.params import Params, load_params
from pipeline.plumbing.places import STUDY
from pipeline.reporting.extractor import load_reference_extractors
from pipeline.reporting.study_plans import HOLE_KINDS, PLANS, Plan
from pipeline.reporting.tables import image_table
from pipeline.tracking.stage import stage_run

IMAGES = 256  # at most, of the validation and of the test split


class Task:
    """Images with holes and the features of the true images; `batch` images are filled at once."""

    def __init__(
        self, images: np.ndarray, holes: np.ndarray, batch: int, extractors: list[Extractor]
    ):
        self.images, self.holes, self.batch = images, holes, batch
        self.judges = [(extractor(images), extractor) for extractor in extractors]

    def scores(
        self, inpainter: Inpainter, gamma: str, iterations: int, seed: int
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Returns every score of one setting and the steps taken, for each image."""
        schedule, every = make_gamma(gamma, load_uncertainty()), range(len(self.images))

        def fill(indices: range) -> tuple[np.ndarray, np.ndarray]:
            batch = [part[indices.start : indices.stop] for part in (self.images, self.holes)]
            ((_, result),) = inpainter.sweep_iterations(
                *batch, schedule, [iterations], seed, indices
            )
            return result.images, result.trajectory.steps().cpu().numpy()

        batches = [every[start : start + self.batch] for start in every[:: self.batch]]
        with parallel_map(fill, batches, inpainter.device) as results:
            filled, steps = map(np.concatenate, zip(*results, strict=True))
        task = [filled], self.images, self.holes
        return compute_scores(*[Evaluation(*task, *judge) for judge in self.judges]), steps


def tune(
    sampler: Sampler, networks: tuple[Tokenizer, Transformer], plan: Plan, task: Task, seed: int
) -> tuple[Sampler, pd.DataFrame]:
    """Returns the sampler with the best of the plan's temperatures, and the scores of all pairs."""
    pairs = product(plan.temperatures, plan.choice_temperatures)
    tried = [sampler.changed(temperature=t, choice_temperature=c) for t, c in pairs]
    rows = []
    for one in tqdm(tried, "tune", unit="pair"):
        inpainter = make_inpainter(one, *networks)
        columns, _ = task.scores(inpainter, plan.gammas[0], plan.tuned_at, seed)
        rows.append(one.model_dump(include={"temperature", "choice_temperature"}))
        rows[-1] |= pd.DataFrame(columns).mean().to_dict()
    table = pd.DataFrame(rows)
    kernel, perceptual = (column_of(score, table).name for score in (DECIDES, PERCEPTUAL))
    best = best_setting(table[kernel], table[perceptual])
    return tried[best], table.assign(chosen=np.arange(len(tried)) == best)


def run_plan(
    inpainter: Inpainter,
    plan: Plan,
    images: np.ndarray,
    extractors: list[Extractor],
    params: Params,
) -> pd.DataFrame:
    """Returns every score of every setting on every kind of hole, for each image."""
    tables, settings = [], plan.settings()
    with tqdm(total=len(HOLE_KINDS) * len(settings), desc="study", unit="setting") as bar:
        for kind in HOLE_KINDS:
            area = params.data.hole_area
            holes = draw_holes(len(images), [kind], area, images.shape[1], params.seed)
            task = Task(images, holes, params.inpaint.batch_size, extractors)
            for gamma, iterations in settings:
                columns, steps = task.scores(inpainter, gamma, iterations, params.seed)
                tables.append(
                    image_table(gamma, iterations, holes, columns, steps).assign(hole_kind=kind)
                )
                bar.update()
    return pd.concat(tables, ignore_index=True)


def main(decoder: str) -> None:
    params, plan = load_params(), PLANS[decoder]
    output = STUDY / decoder
    values = {"inpaint": params.inpaint.model_dump(), "decoder": decoder, "seed": params.seed}
    with stage_run("study", values, output, decoder) as run, fresh_folder(output) as folder:
        extractors = load_reference_extractors(params.score.weights)
        networks = load_networks()
        images, holes = (part[:IMAGES] for part in load_task("val"))
        validation = Task(images, holes, params.inpaint.batch_size, extractors)
        sampler = params.inpaint.changed(decoder=decoder)
        sampler, tuning = tune(sampler, networks, plan, validation, params.seed)
        inpainter = make_inpainter(sampler, *networks)
        test, _ = load_task("test")
        scores = run_plan(inpainter, plan, test[:IMAGES], extractors, params)
        scores.insert(0, "decoder", decoder)
        tuning.to_csv(folder / "tuning.csv", index=False)
        scores.to_csv(folder / "images.csv", index=False)
        run.log_table(tuning, "tuning.json")


if __name__ == "__main__":
    with plain_errors():
        keep_freed_memory()
        main(sys.argv[1])
