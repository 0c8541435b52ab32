"""Stage report: makes the headline, one table, plots, grids and the model folder of all tables."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from maskgit.data.mask_sets import AREAS
from maskgit.inpainting.registry import DECODERS
from maskgit.scoring.baselines import BOUNDS
from maskgit.scoring.intervals import mean_by_group
from maskgit.scoring.score import Column
from maskgit.scoring.scores import DECIDES, FRECHET, column_of, score_columns
from pipeline.models.model_folder import write_model_folder
from pipeline.plumbing.errors import plain_errors
from pipeline.plumbing.files import (
    fresh_folder,
    json_text,
    load_task,
    read_table,
    write_atomically,
    write_table,
)
from pipeline.plumbing.params import MEAN, ONE_PASS, Params, load_params
from pipeline.plumbing.places import (
    FILLS,
    HOLES_CSV,
    IMAGE_SCORES,
    IMAGES_CSV,
    INPAINTED,
    MODEL_FOLDER,
    OTHERS_CSV,
    PREPARED,
    REFERENCE,
    REPORTS,
    SCORES,
    TOKENIZER,
    TRANSFORMER,
    UNCERTAINTY,
    has_mean_decoder,
    results_folder,
)
from pipeline.reporting.card import GRID, model_card
from pipeline.reporting.comparisons import answer, compare, comparison_text
from pipeline.reporting.grids import draw_grid
from pipeline.reporting.pictures import save_picture
from pipeline.reporting.plane import frontier_text, plot_plane
from pipeline.reporting.plots import plot_gammas, plot_losses, plot_scores
from pipeline.reporting.tables import HOLE_AREAS, by_area, by_kind
from pipeline.reporting.text import scores_text
from pipeline.serving.registry import register
from pipeline.tracking.stage import stage_run

SUMMARY = REPORTS / "summary"


def schedules(params: Params) -> list[str]:
    """Returns the schedules that dvc.yaml runs: the three of the study and the headline's.

    The methods of a single pass are not among them.
    """
    return list(dict.fromkeys(["cosine", "linear", "square", params.gamma]))


def scored_methods(params: Params, mean: bool) -> list[str]:
    """Returns all methods that have scores, in the order of the tables; mean: whether it has."""
    return [*schedules(params), ONE_PASS, *([MEAN] if mean else [])]


def merge_tables(names: list[str]) -> pd.DataFrame:
    """Returns the rows of every method, then those of the baselines."""
    tables = [read_table(SCORES / f"{name}.csv") for name in names]
    table = pd.concat([*tables, read_table(REFERENCE / "scores.csv")], ignore_index=True)
    return table.astype({"iterations": "Int64"})


def merge_image_scores(names: list[str]) -> pd.DataFrame:
    """Returns the scores of every image, by method and then by baseline."""
    folders = [*(IMAGE_SCORES / name for name in names), REFERENCE]
    return pd.concat([read_table(folder / IMAGES_CSV) for folder in folders], ignore_index=True)


def headline(table: pd.DataFrame, method: str, iterations: int) -> dict[str, object]:
    """Returns a method's scores, with the distances of true images and tokenizer beside them."""
    row = table[(table["schedule"] == method) & (table["iterations"] == iterations)].iloc[0]
    bounds = table[table["schedule"].isin(BOUNDS)].set_index("schedule")
    distances = [each.name for each in score_columns(table.columns) if each.score.is_distance]
    return {key: row[key].item() for key in table.columns.drop(["schedule", "iterations"])} | {
        f"{distance}_{name}": bounds.loc[name, distance].item()
        for distance in distances
        for name in bounds.index
    }


def headline_images(images: pd.DataFrame, params: Params) -> tuple[Column, np.ndarray]:
    """Returns the column of the score that decides, and the headline's score of each picture."""
    score = column_of(DECIDES, images.columns)
    method, iterations = params.headline
    chosen = images["schedule"].eq(method) & images["iterations"].eq(iterations)
    values, pictures = (images.loc[chosen, name].to_numpy() for name in (score.name, "picture"))
    return score, mean_by_group(values, pictures)


def hole_kinds(split: str) -> pd.Series:
    """Returns the kind of each image's hole, by the image's number."""
    holes = read_table(PREPARED / HOLES_CSV)
    return holes[holes["split"] == split].set_index("image")["kind"]


def other_notes(params: Params) -> dict[str, str]:
    """How each of the other tools changed known pixels, '' where it did not."""
    if not params.score.others:
        return {}
    notes = read_table(REFERENCE / OTHERS_CSV).set_index("method")["note"]
    return {tool: "" if pd.isna(note) else note for tool, note in notes.items()}


def results(name: str, steps: int) -> Path:
    """Returns the folder of a schedule's filled images."""
    return INPAINTED / name / str(steps) / results_folder()


def main() -> None:
    params = load_params()
    names = schedules(params)
    steps = params.report.iterations
    with stage_run("report", params, MODEL_FOLDER) as run:
        methods = scored_methods(params, has_mean_decoder())
        table, images_scored = merge_tables(methods), merge_image_scores(methods)
        chosen = params.decoding.model_dump(include={"gamma", "iterations", "reading"})
        row = chosen | headline(table, *params.headline)
        images, holes = load_task(params.inpaint.split)
        shown = images[: params.report.grid], holes[: params.report.grid]
        by_schedule = {f"{name} {steps}": results(name, steps) for name in names}
        if MEAN in methods:
            by_schedule |= {MEAN: results(MEAN, 1)}
        notes = other_notes(params)
        by_schedule |= {
            name + " (known pixels restored)" * bool(note): REFERENCE / FILLS / name
            for name, note in notes.items()
        }
        counts = params.inpaint.iterations
        by_steps = {f"{params.gamma} {count}": results(params.gamma, count) for count in counts}
        with fresh_folder(SUMMARY) as folder:
            plot_losses(read_table(TOKENIZER / "history.csv"), folder / "loss_tokenizer.png")
            plot_losses(read_table(TRANSFORMER / "history.csv"), folder / "loss_transformer.png")
            uncertainty = read_table(TRANSFORMER / UNCERTAINTY)
            plot_gammas(names, uncertainty, folder / "mask_schedules.png")
            plot_scores(table, folder / "scores.png")
            plot_plane(table, folder / "plane.png")
            save_picture(folder / "schedules.png", draw_grid(*shown, by_schedule))
            save_picture(folder / "iterations.png", draw_grid(*shown, by_steps))
        differences = compare(images_scored)
        buckets = {
            "buckets": by_area(images_scored, AREAS if params.data.mask_sets else HOLE_AREAS),
            "kinds": by_kind(images_scored, hole_kinds(params.inpaint.split)),
        }
        unit = DECODERS[params.inpaint.decoder].unit
        found = f"{answer(images_scored, differences, unit)} {frontier_text(table)}"
        distance = column_of(FRECHET, table.columns).name
        plotted = table[table["schedule"].isin(names)].rename(columns={distance: "distance"})
        tables = {"scores": table, "differences": differences} | buckets
        for name, content in tables.items():
            write_table(REPORTS / f"{name}.csv", content)
        write_table(REPORTS / "schedules.csv", plotted)
        write_atomically(Path("metrics.json"), json_text(row | {"answer": found}).encode())
        with fresh_folder(MODEL_FOLDER) as folder:
            scored = {"origin": params.origin, "split": params.inpaint.split}
            card = partial(model_card, table=table, answer=found, **scored)
            write_model_folder(folder, params, uncertainty, card)
            best = {" ".join(map(str, params.headline)): results(*params.headline)}
            save_picture(folder / GRID, draw_grid(*shown, best))
    registered = register(run.run_id, params, *headline_images(images_scored, params))
    print(scores_text(table))
    for name, note in notes.items():
        if note:
            print(f"{name} {note}")
    print("\n" + comparison_text(differences, params.gamma, steps))
    print("\n" + registered)
    print("\n" + found)


if __name__ == "__main__":
    with plain_errors():
        main()
