"""Reads from a finished stage's files what MLflow shows of the stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from maskgit.scoring.baselines import BOUNDS
from maskgit.scoring.columns import without_end
from pipeline.plumbing.entry import PIPELINES, outputs, stages_of
from pipeline.plumbing.files import read_table
from pipeline.plumbing.hashing import content_hash
from pipeline.plumbing.params import Params
from pipeline.plumbing.places import (
    FEED_FORWARD,
    INPAINTED,
    MEAN_DECODER,
    PREPARED,
    REFERENCE,
    REPORTS,
    SCORES,
    STUDY,
    TOKENIZER,
    TRANSFORMER,
)
from pipeline.plumbing.seconds import read_seconds, with_seconds

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.tracking.stage import StageRun

TABLES = ("scores", "differences", "buckets", "kinds")
TRAINED = {
    "train_vqgan": TOKENIZER,
    "train_transformer": TRANSFORMER,
    "train_decoder": MEAN_DECODER,
    "train_feed_forward": FEED_FORWARD,
}
KEYS = ("schedule", "iterations", "n", "steps")  # columns of a table of scores that are no scores


def best_loss(history: pd.DataFrame) -> float:
    """Returns the validation loss of the network that was kept.

    Where a discriminator joins a training, no network from before is kept.
    """
    joined = "discriminator_loss"
    counted = history.dropna(subset=[joined]) if joined in history else history
    return counted["val_loss"].min()


def log_outputs(run: StageRun, stage: str, item: str, params: Params) -> None:
    """Logs the metrics, tables, pictures and files of a stage that has finished."""
    match stage:
        case "prepare":
            run.log_artifact(PREPARED / "manifest.csv")
            run.log_artifact(PREPARED / "preview.png")
        case _ if stage in TRAINED:
            folder = TRAINED[stage]
            run.log_artifact(folder)
            if not (folder / "history.csv").exists():
                return  # it is kept as it was, or there is none
            history = read_table(folder / "history.csv")
            for row in history.to_dict("records"):
                run.log_metrics(present(row, ["step"]), int(row["step"]))
            if "val_loss" in history:
                run.log_metrics({"best_val_loss": best_loss(history)})
            run.log_dataset(params.data.source, "training")
        case "reference":
            for row in read_table(REFERENCE / "scores.csv").to_dict("records"):
                values = present(row, KEYS)
                run.log_metrics({f"{row['schedule']}.{key}": v for key, v in values.items()})
        case "inpaint":
            folder = INPAINTED / item
            for picture in sorted(folder.rglob("test_*.png")):
                run.log_artifact(picture, picture.parent.relative_to(folder).as_posix())
            for row in read_seconds(folder).to_dict("records"):
                run.log_metrics({"seconds": row["seconds"]}, int(row["iterations"]))
        case "score":
            for row in read_table(SCORES / f"{item}.csv").to_dict("records"):
                run.log_metrics(present(row, KEYS), int(row["iterations"]))
            run.log_artifact(SCORES / f"{item}.csv")
        case "study":
            run.log_table(read_table(STUDY / item / "tuning.csv"), "tuning.json")
        case "study_report":
            run.log_artifact(REPORTS / "study")
        case "report":
            log_report(run, params)


def present(row: dict, without: tuple | list) -> dict[str, float]:
    """Returns the values of a row that are not NaN, without the given columns."""
    return {key: value for key, value in row.items() if key not in without and value == value}


def log_report(run: StageRun, params: Params) -> None:
    """Logs the headline, tables, plots, pictures, and links to the runs behind them."""
    row = json.loads(Path("metrics.json").read_text(encoding="utf-8"))
    keys = ("gamma", "iterations", "reading", "n", "steps", "answer")
    scores = {name: v for name, v in row.items() if name not in keys and v is not None}
    run.log_metrics({place(name, scores): value for name, value in scores.items()})
    method, iterations = params.headline
    times = read_seconds(INPAINTED / method).set_index("iterations")["seconds"]
    if iterations in times:
        run.log_metrics({"seconds": times[iterations]})
    for name in TABLES:
        table = read_table(REPORTS / f"{name}.csv")
        table = with_seconds(table) if name == "scores" else table
        run.log_table(table.convert_dtypes(), f"{name}.json")
    run.log_artifact(REPORTS / "summary")
    pictures = INPAINTED / params.gamma / str(params.report.iterations)
    for folder, key in (("imga", "filled so far"), ("mask_scheduling", "tokens still hidden")):
        for path in (pictures / folder).iterdir():
            step = int(path.stem.removeprefix("test_"))
            run.log_image(np.asarray(Image.open(path)), key, step)
    run.set_tags({"n": str(row["n"]), "split": params.inpaint.split, "answer": row["answer"]})
    run.log_dataset(params.data.source, "evaluation")
    main = stages_of(PIPELINES[0]).keys() - {"report"}
    behind = {name: path for name, (stage, _, path) in outputs().items() if stage in main}
    run.set_note(row["answer"], {name: content_hash(path) for name, path in behind.items()})


def place(name: str, scores: dict) -> str:
    """Returns what MLflow calls a number of the headline.

    A score has its own name. The ends of its interval and the bounds of a distance have folders, so
    that the list of runs shows the scores alone.
    """
    if without_end(name) != name:
        return f"interval/{name}"
    bounds = [f"{score}_{bound}" for score in scores for bound in BOUNDS]
    return f"bound/{name}" if name in bounds else name
