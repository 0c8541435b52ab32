"""Stage report: all tables -> the headline, one table, plots and picture grids."""

import json
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.entities import Run

from pipeline.errors import plain_errors
from pipeline.files import (
    IMAGE_SCORES,
    IMAGES_CSV,
    INPAINTED,
    PREPARED,
    REFERENCE,
    REPORTS,
    SCORES,
    TOKENIZER,
    TOKENS,
    TRANSFORMER,
    fresh_folder,
    load_task,
)
from pipeline.grids import draw_grid
from pipeline.image_scores import BOUNDS, bucket_table, compare
from pipeline.params import Params, load_params
from pipeline.pictures import save_picture
from pipeline.plots import plot_losses, plot_scores
from pipeline.score_text import comparison_text, scores_text
from pipeline.tracking import find_maker, run_link, stage_run

SUMMARY = REPORTS / "summary"


def schedules(params: Params) -> list[str]:
    """Those that dvc.yaml runs: the three of the study and the headline."""
    return list(dict.fromkeys(["cosine", "linear", "square", params.gamma]))


def merge_tables(names: list[str]) -> pd.DataFrame:
    """Every schedule's rows, then the baselines'."""
    tables = [pd.read_csv(SCORES / f"{name}.csv") for name in names]
    table = pd.concat([*tables, pd.read_csv(REFERENCE / "scores.csv")], ignore_index=True)
    return table.astype({"iterations": "Int64"})


def merge_image_scores(names: list[str]) -> pd.DataFrame:
    """The scores of every image, by schedule and then by baseline."""
    folders = [*(IMAGE_SCORES / name for name in names), REFERENCE]
    return pd.concat([pd.read_csv(folder / IMAGES_CSV) for folder in folders], ignore_index=True)


def headline(table: pd.DataFrame, gamma: str, iterations: int) -> dict[str, object]:
    """The row for `gamma`, and beside its distances those of true images and the tokenizer."""
    row = table[(table["schedule"] == gamma) & (table["iterations"] == iterations)].iloc[0]
    bounds = table[table["schedule"].isin(BOUNDS)].set_index("schedule")
    return (
        {"gamma": gamma, "iterations": iterations}
        | {key: row[key].item() for key in table.columns[2:]}
        | {
            f"{distance}_{name}": bounds.loc[name, distance].item()
            for distance in table.columns[3:5]
            for name in bounds.index
        }
    )


def results(name: str, steps: int) -> Path:
    return INPAINTED / name / str(steps) / "test_results"


def makers(names: list[str]) -> dict[str, Run | None]:
    """The run behind each input, found by the content of the files that lie here now."""
    outputs = {
        "prepare": PREPARED,
        "train_vqgan": TOKENIZER,
        "encode": TOKENS,
        "train_transformer": TRANSFORMER,
        "reference": REFERENCE,
    }
    outputs |= {f"inpaint@{name}": INPAINTED / name for name in names}
    outputs |= {f"score@{name}": SCORES / f"{name}.csv" for name in names}
    return {stage: find_maker(path) for stage, path in outputs.items()}


def log_to_mlflow(table: pd.DataFrame, row: dict[str, object], runs: dict[str, Run | None]) -> None:
    """Headline, score curves by iteration, table, pictures, and links to the runs behind them."""
    mlflow.log_metrics({key: value for key, value in row.items() if not isinstance(value, str)})
    for entry in table.to_dict("records"):
        step = 0 if pd.isna(entry["iterations"]) else int(entry["iterations"])
        for key in table.columns[3:]:
            mlflow.log_metric(f"{entry['schedule']}.{key}", entry[key], step=step)
    mlflow.log_table(table.astype({"iterations": "float"}), "scores.json")
    mlflow.log_artifacts(SUMMARY)
    found = {stage.replace("@", "."): run for stage, run in runs.items() if run}
    mlflow.set_tags({f"run.{stage}": run.info.run_id for stage, run in found.items()})
    links = [f"- {stage}: {run_link(run) if run else 'not found'}" for stage, run in runs.items()]
    mlflow.set_tag("mlflow.note.content", "Runs behind this report:\n" + "\n".join(links))


def main() -> None:
    params = load_params()
    names = schedules(params)
    steps = params.report.iterations
    with stage_run("report", params, SUMMARY, params.gamma):
        table = merge_tables(names)
        images_scored = merge_image_scores(names)
        row = headline(table, params.gamma, steps)
        images, holes = load_task(params.inpaint.split)
        shown = images[: params.report.grid], holes[: params.report.grid]
        by_schedule = {f"{name} {steps}": results(name, steps) for name in names}
        counts = params.inpaint.iterations
        by_steps = {f"{params.gamma} {count}": results(params.gamma, count) for count in counts}
        with fresh_folder(SUMMARY) as folder:
            plot_losses(pd.read_csv(TOKENIZER / "history.csv"), folder / "loss_tokenizer.png")
            plot_losses(pd.read_csv(TRANSFORMER / "history.csv"), folder / "loss_transformer.png")
            plot_scores(table, folder / "scores.png")
            save_picture(folder / "schedules.png", draw_grid(*shown, by_schedule))
            save_picture(folder / "iterations.png", draw_grid(*shown, by_steps))
        table.to_csv(REPORTS / "scores.csv", index=False)
        bucket_table(images_scored).to_csv(REPORTS / "buckets.csv", index=False)
        differences = compare(images_scored)
        differences.to_csv(REPORTS / "differences.csv", index=False)
        plotted = table.dropna(subset="iterations").rename(columns={table.columns[3]: "distance"})
        plotted.to_csv(REPORTS / "schedules.csv", index=False)
        Path("metrics.json").write_text(json.dumps(row, indent=2) + "\n")
        log_to_mlflow(table, row, makers(names))
    print(scores_text(table))
    print("\n" + comparison_text(differences, steps))


if __name__ == "__main__":
    with plain_errors():
        main()
