"""The plots of scores in dvc.yaml show scores of the list, under the list's names."""

import pytest
import yaml

from maskgit.scoring.scores import FRECHET, find
from tests.clone import ROOT

PLOTS = [
    plot
    for entry in yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]
    for plot in entry.values()
    if "reports/schedules.csv" in plot["y"]
]


def score_of(plot):
    """The score of the column that is plotted; the report calls that of FRECHET `distance`."""
    column = plot["y"]["reports/schedules.csv"]
    return FRECHET if column == "distance" else find(column).score


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot["title"])
def test_a_plot_has_the_label_of_its_score(plot):
    label = score_of(plot).label.removesuffix(" ({extractor})")
    assert plot["y_label"] == label
    assert plot["title"] == f"{label.removesuffix(' (dB)')} by iterations"
