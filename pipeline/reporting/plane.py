"""The plane of methods: how near fills are to the truth across, how natural they are as a set up.

Its frontier has the methods that no other method beats in both: `maskgit.scoring.frontier`.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.ticker import SymmetricalLogLocator

from maskgit.scoring.baselines import BOUNDS
from maskgit.scoring.columns import with_ends
from maskgit.scoring.frontier import between_ends, on_frontier
from maskgit.scoring.score import Column
from maskgit.scoring.scores import DECIDES, PERCEPTUAL, clip_bounds, column_of
from pipeline.reporting.comparisons import label
from pipeline.reporting.plots import kept_apart, save

LINE = 16  # pixels from one name to the next
PADDING = 0.15  # share of an axis beside the outermost points
SPAN = 200  # the axis upwards is logarithmic down to this part of its largest value
LEADER = {"arrowstyle": "-", "lw": 0.5, "alpha": 0.5, "relpos": (0, 0.5)}  # from name to point
GREY = "dimgrey"  # colour of methods without iterations


def axes_of(table: pd.DataFrame) -> tuple[Column, Column]:
    """Returns the scores of the plane, across and up, of the network that decides."""
    return column_of(PERCEPTUAL, table.columns), column_of(DECIDES, table.columns)


def plane(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of a table of scores that have both scores, with two more columns.

    `name` is the method's; `frontier` says whether it is on the frontier. The bounds never are: no
    method reaches them. Means count, whatever their intervals.
    """
    across, up = axes_of(table)
    rows = table.dropna(subset=[across.name, up.name]).reset_index(drop=True)
    names = [label(*key) for key in zip(rows["schedule"], rows["iterations"], strict=True)]
    usable = ~rows["schedule"].isin(BOUNDS).to_numpy()
    unbeaten = np.zeros(len(rows), dtype=bool)
    unbeaten[usable] = on_frontier(_badness(rows[usable], across, up))
    return rows.assign(name=names, frontier=unbeaten)


def frontier(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the frontier of `plane`, from the row nearest to the truth to the most natural."""
    across, up = axes_of(table)
    rows = plane(table)
    rows = rows[rows["frontier"]]
    order = np.lexsort(_badness(rows, across, up).T[::-1])
    return rows.iloc[order].reset_index(drop=True)


def _badness(rows: pd.DataFrame, across: Column, up: Column) -> np.ndarray:
    """Returns both scores as float (N, 2) of which lower values are better."""
    return np.stack([column.score.better.sign * rows[column.name] for column in (across, up)], 1)


def frontier_text(table: pd.DataFrame) -> str:
    """Returns which method is at each end of the frontier and one between, a sentence each."""
    across, up = axes_of(table)
    rows = frontier(table)

    def scores(row: int, *columns: Column) -> str:
        return " at ".join(f"{column.name} {rows[column.name][row]:#.3g}" for column in columns)

    first, last = rows["name"].iloc[[0, -1]]
    if not np.ptp(_badness(rows, across, up), axis=0).any():
        return f"{first} is both nearest to the truth and most natural: {scores(0, across, up)}."
    words = [
        f"{first} is nearest to the truth: {scores(0, across, up)}.",
        f"{last} is most natural as a set: {scores(len(rows) - 1, up, across)}.",
    ]
    middle = between_ends(_badness(rows, across, up))
    if middle is not None:
        words.insert(1, f"{rows['name'][middle]} lies between: {scores(middle, across, up)}.")
    return " ".join(words)


def plot_plane(table: pd.DataFrame, path: Path) -> None:
    """Plots every method with its 95 % intervals, and the frontier as a line.

    A second panel enlarges the part in which the settings and the frontier lie, without intervals,
    which may be larger than that part. On the left it is framed.
    """
    across, up = axes_of(table)
    rows, along = plane(table), frontier(table)
    near = rows[rows["iterations"].notna() | rows["frontier"]]
    frame = [_padded(near[column.name]) for column in (across, up)]
    inside = rows[across.name].between(*frame[0]) & rows[up.name].between(*frame[1])
    figure, (left, right) = plt.subplots(1, 2, figsize=(14, max(5.5, 0.28 * inside.sum() + 1)))
    colours = _colours(rows)
    for axis in (left, right):
        axis.plot(along[across.name], along[up.name], color="black", lw=1.2, zorder=3)
        for row, colour in zip(rows.to_dict("records"), colours, strict=True):
            face = colour if row["frontier"] else "white"
            axis.plot(row[across.name], row[up.name], "o", ms=6, mfc=face, mec=colour, zorder=5)
            if axis is left:
                _plot_intervals(axis, row, across.name, up.name, colour)
        axis.set(xlabel=across.label, ylabel=up.label)
        axis.grid(alpha=0.3)
    _scale_up(left, rows[up.name])
    left.set_title("all methods, with 95 % intervals; better to the left and below", fontsize=10)
    corner, size = (frame[0][0], frame[1][0]), np.diff(frame)[:, 0]
    left.add_patch(plt.Rectangle(corner, *size, fill=False, ec="grey", lw=0.8, zorder=4))
    right.set(xlim=frame[0], ylim=frame[1])
    right.set_title("the frame; no method beats one on the line in both scores", fontsize=10)
    figure.tight_layout()  # settles the heights of the axes, by which names keep their distance
    for axis, own in ((left, ~inside), (right, inside)):
        _write_names(axis, rows[own], across.name, up.name, colours[own])
    save(figure, path)


def _padded(values: pd.Series) -> tuple[float, float]:
    """Returns the ends of an axis on which values lie away from the edge."""
    margin = PADDING * (values.max() - values.min() or abs(values.max()) or 1.0)
    return values.min() - margin, values.max() + margin


def _colours(rows: pd.DataFrame) -> np.ndarray:
    """Returns a colour for each row: of its schedule, or grey where it has no iterations."""
    schedules = list(rows.loc[rows["iterations"].notna(), "schedule"].unique())
    colours = {name: f"C{number}" for number, name in enumerate(schedules)}
    return rows["schedule"].map(colours).fillna(GREY).to_numpy()


def _plot_intervals(axis: plt.Axes, row: dict, across: str, up: str, colour: str) -> None:
    """Plots the intervals of a method's two scores as bars."""
    row = row | clip_bounds({name: row[name] for one in (across, up) for name in with_ends(one)})
    ends = [(row[one], *(row[end] for end in with_ends(one)[1:])) for one in (across, up)]
    bars = [[[max(0, at - low)], [max(0, high - at)]] for at, low, high in ends]
    style = {"fmt": "none", "color": colour, "elinewidth": 0.8, "alpha": 0.6}
    axis.errorbar(row[across], row[up], *bars[::-1], **style)


def _scale_up(axis: plt.Axes, values: pd.Series) -> None:
    """Makes the axis upwards logarithmic, and linear near 0, which intervals may reach."""
    positive = values[values > 0]
    if len(positive):
        axis.set_yscale("symlog", linthresh=max(positive.min(), values.max() / SPAN))
        scale = axis.yaxis.get_transform()
        axis.yaxis.set_major_locator(SymmetricalLogLocator(scale, subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")


def _write_names(
    axis: plt.Axes, rows: pd.DataFrame, across: str, up: str, colours: np.ndarray
) -> None:
    """Writes each method's name to the right of the panel, joined to its point by a thin line.

    The names are as high as their points as far as they do not overlap.
    """
    points = axis.transData.transform(rows[[across, up]].to_numpy())
    order = np.argsort(points[:, 1])
    bottom, top = axis.transAxes.transform([[0, 0], [0, 1]])[:, 1]
    steps = LINE * np.arange(len(rows))
    lowered = kept_apart(points[order, 1], LINE) - steps
    heights = np.clip(lowered, bottom, top - steps[-1:].sum()) + steps  # within the panel
    records = rows.iloc[order].to_dict("records")
    for row, colour, height in zip(records, colours[order], heights, strict=True):
        axis.annotate(
            row["name"],
            (row[across], row[up]),
            (1.03, (height - bottom) / (top - bottom)),
            textcoords="axes fraction",
            va="center",
            color=colour,
            weight="bold" if row["frontier"] else "normal",
            fontsize=9,
            arrowprops=LEADER | {"color": colour},
        )
