"""Stage score@SCHEDULE: scores the filled images of a schedule at each number of iterations.

It also writes every score of each image, from which stage report compares schedules.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from maskgit import ranks
from maskgit.scoring.intervals import summarise
from maskgit.scoring.score import Evaluation
from maskgit.scoring.scores import compute_scores
from pipeline.plumbing.files import fresh_folder, load_task, read_table, write_table
from pipeline.plumbing.launch import network_stage
from pipeline.plumbing.params import MEAN, load_params
from pipeline.plumbing.places import (
    IMAGE_SCORES,
    IMAGES_CSV,
    INPAINTED,
    SCORES,
    STEPS_CSV,
    results_folder,
)
from pipeline.reporting.extractor import load_judges, load_lpips
from pipeline.reporting.pictures import load_picture, picture_name
from pipeline.reporting.tables import image_table, pictures_of, table_row
from pipeline.tracking.stage import stage_run


def load_filled_images(folder: Path, count: int) -> np.ndarray:
    """Returns the filled images of a folder, uint8 (count, H, W, 3)."""
    return np.stack([load_picture(folder / picture_name(i)) for i in range(count)])


def leave_out(table: Path) -> None:
    """Writes an empty table and folder for a method that the models do not have."""
    if not ranks.rank():
        write_table(table, pd.DataFrame(columns=["schedule", "iterations", "n"]))
        with fresh_folder(IMAGE_SCORES / table.stem):
            print(f"{table.stem}: left out, since no decoder of mean codes is taught")


def main(schedule: str) -> None:
    params = load_params()
    table = SCORES / f"{schedule}.csv"
    split = params.inpaint.split
    truth, holes = load_task(split)
    if schedule == MEAN and not (INPAINTED / MEAN / "1").exists():
        return leave_out(table)
    with stage_run("score", params, table, schedule):
        judges = load_judges(params.score.weights)
        lpips = load_lpips(params.score.lpips)
        rows, images = [], []
        counts, fills = params.inpaint.plan(schedule)
        pictures = pictures_of(len(truth), params.data.windows)
        total = len(truth) * len(counts) * fills * len(judges)
        with tqdm(total=total, unit="image") as bar:
            for iterations in counts:
                bar.set_description(f"score {schedule}, {iterations} iterations")
                where = INPAINTED / schedule / str(iterations)
                folders = [where / results_folder(k) for k in range(fills)]
                filled = [load_filled_images(folder, len(truth)) for folder in folders]
                task = filled, truth, holes
                inputs = {"groups": pictures, "lpips": lpips, "progress": bar.update}
                columns = compute_scores(*[Evaluation(*task, *judge, **inputs) for judge in judges])
                scores = summarise(columns, pictures)
                steps = read_table(where / STEPS_CSV)["steps"].to_numpy()
                rows.append(table_row(schedule, iterations, len(truth), scores, steps.mean()))
                images.append(image_table(schedule, iterations, holes, columns, steps, pictures))
        if ranks.rank():
            return
        with fresh_folder(IMAGE_SCORES / schedule) as folder:
            pd.concat(images).to_csv(folder / IMAGES_CSV, index=False)
        write_table(table, pd.DataFrame(rows))


if __name__ == "__main__":
    with network_stage():
        main(sys.argv[1])
