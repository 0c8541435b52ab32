"""Plots losses over steps, schedules, and scores over steps as PNG files."""

from io import BytesIO
from math import ceil
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from maskgit.schedules import ENTROPIC, make_gamma
from maskgit.scoring.columns import with_ends
from maskgit.scoring.score import Column
from maskgit.scoring.scores import DECIDES, column_of, score_columns
from pipeline.plumbing.files import write_atomically

PANELS_IN_ROW = 4
SHIFT = 0.15  # steps by which the points of two schedules are shifted
NEAR = 0.05  # share of an axis; names that are closer would overlap


def plot_losses(history: pd.DataFrame, path: Path) -> None:
    """Plots each loss and score of a training over its steps, a panel each."""
    names = [name for name in history.columns if name not in ("step", "learning_rate")]
    figure, axes = plt.subplots(1, len(names), figsize=(3.2 * len(names), 2.8), squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        points = history[["step", name]].dropna()
        axis.plot(points["step"], points[name], marker="o" if len(points) < 30 else "", ms=3)
        axis.set(title=name.replace("_", " "), xlabel="step")
        axis.grid(alpha=0.3)
    save(figure, path)


def plot_gammas(names: list[str], uncertainty: pd.DataFrame, path: Path) -> None:
    """Plots the transformer's uncertainty, and mask schedules, `entropic` included.

    uncertainty: columns hidden_share, nats.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
    left.plot(uncertainty["hidden_share"], uncertainty["nats"], marker="o", ms=4)
    left.set(xlabel="share of the hole that is hidden", ylabel="nats a hidden token")
    steps = [step / 100 for step in range(101)]
    for name in [*(name for name in names if name != ENTROPIC), ENTROPIC]:
        gamma, style = make_gamma(name, uncertainty["nats"]), "--" if name == ENTROPIC else "-"
        right.plot(steps, [gamma(r) for r in steps], style, label=name)
    right.set(xlabel="share of the steps that is done", ylabel="share of the tokens still hidden")
    right.legend(frameon=False)
    for axis in (left, right):
        axis.grid(alpha=0.3)
    save(figure, path)


def plot_scores(table: pd.DataFrame, path: Path) -> None:
    """Plots each score over steps, a panel each, with 95 % intervals, schedules in colours.

    The first two panels show the score DECIDES, without and with the baselines and bounds (dashed
    lines). The points of schedules are shifted, so that their intervals are distinguishable. All
    schedules have the same images, so that a difference may be shown although intervals overlap
    (differences.csv).
    """
    settings = table.dropna(subset="iterations")
    decides = column_of(DECIDES, table.columns)
    others = [
        column
        for column in score_columns(table.columns)
        if column != decides and settings[column.name].notna().any()
    ]
    panels = [(decides, False), *((column, True) for column in (decides, *others))]
    rows = ceil(len(panels) / PANELS_IN_ROW)
    figure, axes = plt.subplots(
        rows, PANELS_IN_ROW, figsize=(4.6 * PANELS_IN_ROW, 3.8 * rows), squeeze=False
    )
    for axis, (column, with_baselines) in zip(axes.flat, panels, strict=False):
        _plot_score(axis, settings, column)
        if with_baselines:
            baselines = table[table["iterations"].isna()].dropna(subset=column.name)
            label_lines(axis, baselines, column.name)
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    handles = axes[0][0].get_legend_handles_labels()
    axes[0][0].legend(*handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False)
    save(figure, path)


def _plot_score(axis: plt.Axes, settings: pd.DataFrame, column: Column) -> None:
    """Plots a score of every schedule over its steps."""
    name, low, high = with_ends(column.name)
    schedules = list(settings.groupby("schedule", sort=False))
    for i, (schedule, rows) in enumerate(schedules):
        steps = rows["steps"] + SHIFT * (i - (len(schedules) - 1) / 2)
        ends = (rows[name] - rows[low], rows[high] - rows[name])
        axis.errorbar(steps, rows[name], ends, marker="o", ms=4, lw=1.2, capsize=2, label=schedule)
    counts = sorted(settings["steps"].round().astype(int).unique())
    axis.set(xlabel="steps", ylabel=column.label, xticks=counts)
    axis.grid(alpha=0.3)


def plot_simulation(found: pd.DataFrame, true_frechet: dict[str, float], path: Path) -> None:
    """Plots means and two standard deviations of simulated reports by the number of images.

    found: columns n, sampler, frechet, kernel; true_frechet: the true distance by sampler.
    """
    figure, axes = plt.subplots(1, 2, figsize=(10, 4))
    titles = {"frechet": "Fréchet distance", "kernel": "kernel distance"}
    for axis, (score, title) in zip(axes, titles.items(), strict=True):
        for i, (name, rows) in enumerate(found.groupby("sampler", sort=False)):
            groups = rows.groupby("n")[score]
            means, spread = groups.mean(), 2 * groups.std()
            where = means.index * (1 + 0.06 * (i - 1))
            axis.errorbar(where, means, spread, marker="o", ms=4, capsize=2, label=name)
            if score == "frechet":
                axis.axhline(true_frechet[name], color=f"C{i}", linestyle="--", linewidth=1)
        counts = sorted(found["n"].unique())
        axis.set(title=title, xlabel="test images", xscale="log")
        axis.set_xticks(counts, [str(count) for count in counts], minor=False)
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("mean over simulated reports (dashed: true)")
    axes[0].legend(frameon=False)
    save(figure, path)


def label_lines(axis: plt.Axes, baselines: pd.DataFrame, name: str) -> None:
    """Draws a dashed line for each baseline, with its name on the right at about its height.

    The names are in the order of the lines and at least NEAR apart, moved as little as possible.
    """
    values = baselines.set_index("schedule")[name].sort_values()
    for value in values:
        axis.axhline(value, color="grey", linestyle="--", linewidth=1)
    low, high = axis.get_ylim()
    heights = kept_apart(values.to_numpy(), NEAR * (high - low))
    for label, height in zip(values.index, heights, strict=True):
        where = {"xycoords": ("axes fraction", "data"), "va": "center"}
        axis.annotate(label, (1.01, height), fontsize=8, annotation_clip=False, **where)


def kept_apart(heights: np.ndarray, gap: float) -> np.ndarray:
    """Returns rising heights that rise by `gap` at least, moved as little as possible; float (N,).

    Those are a rising sequence plus `gap` times their rank.
    """
    ranks = gap * np.arange(len(heights))
    return isotonic_regression(heights - ranks).x + ranks if len(heights) else heights


def save(figure: plt.Figure, path: Path) -> None:
    """Writes a figure as a PNG file, and closes it."""
    file = BytesIO()
    figure.tight_layout()
    figure.savefig(file, format="png", dpi=110)
    plt.close(figure)
    write_atomically(path, file.getbuffer())
