"""Stage score@SCHEDULE: filled and true images -> a row of scores for each number of iterations."""

import sys

import numpy as np
import pandas as pd
from tqdm import tqdm

from maskgit.scoring import score
from pipeline.errors import plain_errors
from pipeline.extractors import load_extractor
from pipeline.files import INPAINTED, REFERENCE, SCORES, load_array, load_task, write_whole
from pipeline.params import load_params
from pipeline.pictures import load_picture
from pipeline.tracking import stage_run


def main(schedule: str) -> None:
    params = load_params()
    features = load_array(REFERENCE / "features.npy")
    table = SCORES / f"{schedule}.csv"
    split = params.inpaint.split
    truth, holes = load_task(split)
    values = {"score": params.score.model_dump(), "split": split, "schedule": schedule}
    with stage_run("score", values, table, schedule) as run:
        extractor = load_extractor(params.score)
        rows = []
        with tqdm(total=len(truth) * len(params.inpaint.iterations), unit="image") as bar:
            for iterations in sorted(params.inpaint.iterations):
                bar.set_description(f"score {schedule}, {iterations} iterations")
                folder = INPAINTED / schedule / str(iterations) / "test_results"
                names = [folder / f"image_{i:03d}.png" for i in range(len(truth))]
                filled = np.stack([load_picture(name) for name in names])
                scores = score(filled, truth, holes, features, extractor, bar.update)
                rows.append({"schedule": schedule, "iterations": iterations} | scores)
                run.log_metrics(scores, step=iterations)
        write_whole(table, pd.DataFrame(rows).to_csv(index=False).encode())
        run.log_artifact(table)


if __name__ == "__main__":
    with plain_errors():
        main(sys.argv[1])
