"""Stage report: all tables -> the headline, one table, plots and picture grids."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.plumbing.errors import UserError, plain_errors
from pipeline.plumbing.files import (
    DECODING,
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
    check_sum,
    fresh_folder,
    load_task,
    write_table,
    write_whole,
)
from pipeline.plumbing.params import Params, load_params
from pipeline.reporting.grids import draw_grid
from pipeline.reporting.pictures import save_picture
from pipeline.reporting.plots import plot_losses, plot_scores
from pipeline.reporting.tables import BOUNDS, bucket_table, compare
from pipeline.reporting.text import comparison_text, scores_text
from pipeline.serving.registry import register
from pipeline.tracking.run import StageRun
from pipeline.tracking.stage import stage_run

SUMMARY = REPORTS / "summary"


def schedules(params: Params) -> list[str]:
    """Those that dvc.yaml runs: the three of the study and the headline."""
    return list(dict.fromkeys(["cosine", "linear", "square", params.gamma]))


def read_table(path: Path) -> pd.DataFrame:
    """A table that a stage wrote. Raises UserError if it is missing or damaged."""
    check_sum(path)
    try:
        return pd.read_csv(path)
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); 'dvc repro' makes it again") from None


def merge_tables(names: list[str]) -> pd.DataFrame:
    """Every schedule's rows, then the baselines'."""
    tables = [read_table(SCORES / f"{name}.csv") for name in names]
    table = pd.concat([*tables, read_table(REFERENCE / "scores.csv")], ignore_index=True)
    return table.astype({"iterations": "Int64"})


def merge_image_scores(names: list[str]) -> pd.DataFrame:
    """The scores of every image, by schedule and then by baseline."""
    folders = [*(IMAGE_SCORES / name for name in names), REFERENCE]
    return pd.concat([read_table(folder / IMAGES_CSV) for folder in folders], ignore_index=True)


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


def inputs(names: list[str]) -> dict[str, Path]:
    """What the report rests on, by the stage that made it."""
    outputs = {
        "prepare": PREPARED,
        "train_vqgan": TOKENIZER,
        "encode": TOKENS,
        "train_transformer": TRANSFORMER,
        "reference": REFERENCE,
    }
    outputs |= {f"inpaint@{name}": INPAINTED / name for name in names}
    outputs |= {f"score@{name}": SCORES / f"{name}.csv" for name in names}
    return outputs


def log_to_mlflow(
    run: StageRun,
    params: Params,
    row: dict[str, object],
    tables: dict[str, pd.DataFrame],
    outputs: dict[str, Path],
) -> None:
    """Headline, its scores over iterations, tables, pictures, and links to the runs behind them."""
    scores = {key: row[key] for key in row if key not in ("gamma", "iterations", "n")}
    run.log_metrics(scores)
    table = tables["scores"]
    curves = [key for key in table.columns[3:] if not key.endswith(("_low", "_high"))]
    for entry in table[table["schedule"] == params.gamma].to_dict("records"):
        run.log_metrics(
            {f"over_iterations/{key}": entry[key] for key in curves}, entry["iterations"]
        )
    for name, content in tables.items():
        run.log_table(content, f"{name}.json")
    run.log_artifacts(SUMMARY)
    pictures = results(params.gamma, params.report.iterations).parent
    for folder, key in (("imga", "filled so far"), ("mask_scheduling", "tokens still hidden")):
        for path in (pictures / folder).iterdir():
            step = int(path.stem.removeprefix("test_"))
            run.log_image(np.asarray(Image.open(path)), key, step)
    run.set_tags({"n": str(row["n"]), "split": params.inpaint.split})
    run.link_makers(outputs)


def main() -> None:
    params = load_params()
    names = schedules(params)
    steps = params.report.iterations
    with stage_run("report", params, SUMMARY, params.gamma) as run:
        table = merge_tables(names)
        images_scored = merge_image_scores(names)
        row = headline(table, params.gamma, steps)
        images, holes = load_task(params.inpaint.split)
        shown = images[: params.report.grid], holes[: params.report.grid]
        by_schedule = {f"{name} {steps}": results(name, steps) for name in names}
        counts = params.inpaint.iterations
        by_steps = {f"{params.gamma} {count}": results(params.gamma, count) for count in counts}
        with fresh_folder(SUMMARY) as folder:
            plot_losses(read_table(TOKENIZER / "history.csv"), folder / "loss_tokenizer.png")
            plot_losses(read_table(TRANSFORMER / "history.csv"), folder / "loss_transformer.png")
            plot_scores(table, folder / "scores.png")
            save_picture(folder / "schedules.png", draw_grid(*shown, by_schedule))
            save_picture(folder / "iterations.png", draw_grid(*shown, by_steps))
        buckets, differences = bucket_table(images_scored), compare(images_scored)
        plotted = table.dropna(subset="iterations").rename(columns={table.columns[3]: "distance"})
        write_table(REPORTS / "scores.csv", table)
        write_table(REPORTS / "buckets.csv", buckets)
        write_table(REPORTS / "differences.csv", differences)
        write_table(REPORTS / "schedules.csv", plotted)
        write_whole(Path("metrics.json"), (json.dumps(row, indent=2) + "\n").encode())
        write_whole(DECODING, params.decoding.model_dump_json(indent=2).encode())
        tables = {"scores": table, "buckets": buckets, "differences": differences}
        log_to_mlflow(run, params, row, tables, inputs(names))
        registered = register(run.run_id(), params, row, table.columns[3])
    print(scores_text(table))
    print("\n" + comparison_text(differences, steps))
    print("\n" + registered)


if __name__ == "__main__":
    with plain_errors():
        main()
