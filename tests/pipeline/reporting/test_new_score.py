"""A score is an entry of one list: one that nothing else names reaches all that people read."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt
from torch import nn

from maskgit.model_folder import Config
from maskgit.scoring import scores
from maskgit.scoring.columns import with_ends
from maskgit.scoring.features import Extractor
from maskgit.scoring.intervals import summarise
from maskgit.scoring.score import Better, Evaluation, Scope, Score
from maskgit.scoring.scores import compute_scores
from pipeline.commands.scores import scores_page
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.params import Origin
from pipeline.reporting import plots
from pipeline.reporting.card import model_card
from pipeline.reporting.comparisons import compare
from pipeline.reporting.tables import by_area, by_kind, image_table, table_row
from pipeline.reporting.text import columns_markdown, scores_text
from pipeline.stages import report
from pipeline.tracking import outputs
from tests.clone import ROOT

N = 20
METHODS = (("cosine", 1), ("cosine", 8), ("square", 8), ("one_pass", 1), ("telea", None))


def median_errors(output: np.ndarray, truth: np.ndarray, hole: np.ndarray) -> np.ndarray:
    images = zip(np.abs(output.astype(float) - truth), hole, strict=True)
    return np.array([np.median(error[inside]) / 255 for error, inside in images])


MEDIAN = Score(
    name="median_hole",
    label="median absolute error in the hole",
    better=Better.LOWER,
    scope=Scope.HOLE,
    compute=lambda evaluation: evaluation.in_holes(median_errors),
    source="the test's own",
)


class FirstPixels(nn.Module):
    def forward(self, images):
        return images[:, :, 0, :4].float().flatten(1) / 255


@pytest.fixture(scope="module")
def tables():
    """What the stages score and reference make of random fills: means, and image by image."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "SCORES", [*scores.SCORES, MEDIAN])
        rng = np.random.default_rng(0)
        extractor = Extractor("pixels", "", FirstPixels(), torch.device("cpu"))
        truth = rng.integers(0, 256, (N, 32, 32, 3), dtype=np.uint8)
        hole = np.zeros((N, 32, 32), dtype=bool)
        hole[:, 8:20, 8:20] = True
        rows, images = [], []
        for schedule, iterations in METHODS:
            fill = rng.integers(0, 256, truth.shape, dtype=np.uint8)
            held = Evaluation([fill], truth, hole, extractor(truth), extractor)
            columns, steps = compute_scores(held), np.full(N, iterations or np.nan)
            rows.append(table_row(schedule, iterations, N, summarise(columns), steps.mean()))
            images.append(image_table(schedule, iterations, hole, columns, steps))
        yield pd.DataFrame(rows), pd.concat(images, ignore_index=True)


def test_the_table_of_scores_has_it_with_its_interval(tables):
    table, images = tables
    _, low, high = with_ends("median_hole")
    assert (table["median_hole"].between(table[low], table[high])).all()
    own = images[images["schedule"] == "square"]["median_hole"]
    row = table.set_index("schedule").loc["square"]
    assert row["median_hole"] == pytest.approx(own.mean()) and row[low] < row[high]


def test_the_differences_have_it_but_it_decides_nothing(tables):
    _, images = tables
    rows = compare(images).set_index("score").loc["median_hole"]
    assert (rows["low"] < rows["high"]).all() and set(rows["verdict"]) == {""}


def test_buckets_and_kinds_have_it(tables):
    _, images = tables
    kinds = pd.Series("box", index=range(N))
    for table in (by_area(images), by_kind(images, kinds)):
        assert set(with_ends("median_hole")) <= set(table.columns)


def test_an_axis_of_the_plots_is_labelled_with_it(tables, tmp_path, monkeypatch):
    table, _ = tables
    drawn = []
    monkeypatch.setattr(plots, "save", lambda figure, path: drawn.append(figure))
    plots.plot_scores(table, tmp_path / "scores.png")
    (figure,) = drawn
    panels = {axis.get_ylabel(): axis for axis in figure.axes}
    plt.close(figure)
    assert MEDIAN.label in panels
    lines = panels[MEDIAN.label].lines
    heights = np.concatenate([np.ravel(line.get_ydata()) for line in lines])
    assert np.isin(table["median_hole"], heights).all()


def test_mlflow_gets_it_with_its_interval(tables):
    table, _ = tables
    row = report.headline(table, "cosine", 8)
    name, low, high = with_ends("median_hole")
    assert [outputs.place(each, row) for each in (name, low, high)] == [
        name,
        f"interval/{low}",
        f"interval/{high}",
    ]


def test_the_headline_has_it(tables):
    table, _ = tables
    assert set(with_ends("median_hole")) <= report.headline(table, "cosine", 8).keys()


def test_the_model_card_shows_it(tables, weights_config):
    table, _ = tables
    decoding = weights_config.decoding.changed(gamma="cosine", iterations=8)
    card = model_card(weights_config.changed(decoding=decoding), table, "", Origin.HERE)
    assert "`median_hole` ↓ |" in card


@pytest.mark.parametrize(
    ("origin", "says"),
    [
        (Origin.HERE, "that the model has never seen"),
        (Origin.BOTH, "may have seen some of them"),
        (Origin.ELSEWHERE, "may have seen some of them"),
    ],
)
def test_the_model_card_says_what_the_model_may_have_seen(tables, weights_config, origin, says):
    table, _ = tables
    changes = {
        "decoding": weights_config.decoding.changed(gamma="cosine", iterations=8),
        "trained_on": weights_config.trained_on.changed(source="synthetic", images=0, holes=[]),
    }
    card = model_card(weights_config.changed(**changes), table, "", origin)
    assert says in " ".join(card.split())
    assert ("license: apache-2.0" in card) == (origin is Origin.HERE)
    assert "trained on\nan unknown number of images of 64 x 64 pixels (synthetic).\n" in card


def test_the_model_card_says_where_its_scores_are_of_validation_images(tables, weights_config):
    table, _ = tables
    decoding = weights_config.decoding.changed(gamma="cosine", iterations=8)
    config = weights_config.changed(decoding=decoding)
    card = model_card(config, table, "", Origin.HERE, split="val")
    assert "validation images" in card and "never seen" not in card


@pytest.fixture
def weights_config():
    return Config.model_validate_json((ROOT / "weights/config.json").read_text())


def test_what_maskgit_prints_has_it_and_says_which_way_it_goes(tables, tmp_path, monkeypatch):
    table, _ = tables
    monkeypatch.chdir(tmp_path)
    assert "median_hole" in scores_text(table).split("\n\n")[1].splitlines()[0]
    table.to_csv("scores.csv", index=False)
    (lower,) = [x for x in scores_page(Path("scores.csv")).splitlines() if "when lower" in x]
    assert "median_hole" in lower


def test_a_tables_answer_is_that_of_its_own_run(tables, tmp_path, monkeypatch):
    table, images = tables
    monkeypatch.chdir(tmp_path)
    for folder, answer in (("reports", "the last run"), ("kept/reports", "an earlier run")):
        Path(folder).mkdir(parents=True)
        table.to_csv(f"{folder}/scores.csv", index=False)
        compare(images).to_csv(f"{folder}/differences.csv", index=False)
        row = {"gamma": "cosine", "iterations": 8, "answer": f"Answer: {answer}."}
        (Path(folder).parent / "metrics.json").write_text(json.dumps(row))
    shutil.copytree("reports", "copies/cats")
    assert "Answer: the last run." in scores_page(Path("reports/scores.csv"))
    kept = scores_page(Path("kept/reports/scores.csv"))
    assert "Answer: an earlier run." in kept and "kept/reports/summary/" in kept
    assert "Answer:" not in scores_page(Path("copies/cats/scores.csv"))
    Path("metrics.json").write_text("<<<<<<< HEAD")
    with pytest.raises(UserError, match=r"metrics\.json or .*differences\.csv is damaged"):
        scores_page(Path("reports/scores.csv"))


def test_the_documentation_lists_it(tables):
    cells = "`median_hole`", MEDIAN.label, "lower", "each image's hole", MEDIAN.source
    assert f"| {' | '.join(cells)} |" in columns_markdown()
