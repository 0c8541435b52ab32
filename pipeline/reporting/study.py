"""Reports the study: decoders, schedules and iterations against a reference, by holes."""

from math import ceil, isfinite
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from maskgit.inpainting.registry import DECODERS
from maskgit.scoring.scores import DECIDES, column_of
from maskgit.scoring.verdicts import (
    FEWEST,
    favoured,
    fills_needed,
    images_needed,
    simultaneous_intervals,
)
from pipeline.reporting.comparisons import EXTREMES
from pipeline.reporting.plots import save
from pipeline.reporting.study_plans import STEPS
from pipeline.reporting.text import rounded_count, with_interval

SETTING = ["decoder", "schedule", "iterations"]
KEYS = ["hole_kind", *SETTING]
REFERENCE = ("confidence", "cosine", 8)  # MaskGIT's own, with which everything is compared
FINDINGS, SETTINGS = "findings.csv", "settings.csv"  # the tables of a report
MORE_STEPS = (32, 64, 128)  # that a plot names, where a decoder takes as many
FAR = 100  # times the images; beyond, more of them are no remedy


def settings_table(images: pd.DataFrame) -> pd.DataFrame:
    """Returns mean steps and scores over images and fills, for each setting and kind of hole."""
    groups = images.drop(columns=["image", "picture", "fill"], errors="ignore").groupby(
        KEYS, sort=False
    )
    return groups.mean(numeric_only=True).reset_index()


def findings(images: pd.DataFrame) -> pd.DataFrame:
    """Returns each setting less the reference, in the score DECIDES, for each kind of hole.

    With 95 % all intervals hold, so that the whole study has one error rate. Fills of one hole are
    not independent, nor are windows of one picture, so their differences are averaged first, and
    the bootstrap is over pictures.
    """
    less = less_the_reference(images, ["picture"])
    found = simultaneous_intervals(less.to_numpy())
    table = less.columns.to_frame(index=False)
    table = table.assign(difference=found.mean, low=found.low, high=found.high, seen=found.seen)
    shown = favoured(found.low, found.high, DECIDES.better)
    table["verdict"] = np.select([shown > 0, shown < 0], ["better", "worse"], "")
    steps = settings_table(images)[[*KEYS, "steps"]]
    return table.merge(steps, on=KEYS)


def less_the_reference(images: pd.DataFrame, index: list[str]) -> pd.DataFrame:
    """Returns the score DECIDES of each setting less the reference's on the same kind of hole.

    A row for each `index`, of picture or of picture and fill, with the mean over what else there
    is. The columns are those of KEYS.
    """
    score = column_of(DECIDES, images.columns).name
    values = images.pivot_table(index=index, columns=KEYS, values=score)
    reference = values.xs(REFERENCE, axis=1, level=SETTING)
    less = values.sub(reference, level="hole_kind")
    return less.loc[:, [column[1:] != REFERENCE for column in less.columns]]


def with_the_reference(found: pd.DataFrame, settings: pd.DataFrame) -> pd.DataFrame:
    """Returns the findings with a row of the reference for each kind of hole: no difference."""
    rows = settings.set_index(SETTING).loc[[REFERENCE], ["hole_kind", "steps"]].reset_index()
    nothing = dict.fromkeys(("difference", "low", "high", "seen"), 0.0)
    return pd.concat([found, rows.assign(verdict="", **nothing)], ignore_index=True)


def findings_text(settings: pd.DataFrame, found: pd.DataFrame) -> str:
    """Returns the findings in Markdown, two tables.

    The first has for each kind of hole the reference, the best setting, and the fewest passes not
    shown to be worse than the reference. The second counts verdicts by decoder.
    """
    score, sign = column_of(DECIDES, settings.columns).name, DECIDES.better.sign
    best_of_all, _ = EXTREMES[DECIDES.better]
    lines = [
        f"| hole | reference | `{score}` | {best_of_all} | `{score}` | less the reference | "
        "fewest passes that keep up with the reference | less the reference |",
        "|---|---|---:|---|---:|---:|---|---:|",
    ]
    every = with_the_reference(found, settings)
    for kind, rows in settings.groupby("hole_kind", sort=False):
        values = rows.set_index(SETTING)[score]
        others = every[every["hole_kind"] == kind].set_index(SETTING)
        best = (sign * values).idxmin()
        kept = others[others["verdict"] != "worse"]
        kept = kept.assign(worse=sign * kept["difference"])
        cheap = kept.sort_values(["steps", "worse"]).index[0]
        cells = [
            kind,
            words(REFERENCE),
            f"{values[REFERENCE]:.5f}",
            words(best),
            f"{values[best]:.5f}",
        ]
        cells += [difference(others, best)]
        known = isfinite(others.loc[cheap, "low"])  # else there are too few pictures for verdicts
        cells += [words(cheap), difference(others, cheap)] if known else ["", ""]
        lines.append(f"| {' | '.join(cells)} |")
    decoders = list(dict.fromkeys(settings["decoder"]))
    lines += ["", "| settings of the decoder | " + " | ".join(VERDICTS) + " |"]
    lines.append("|---|---:|---:|---:|")
    for decoder in decoders:
        rows = found[found["decoder"] == decoder]
        counts = [sum(rows["verdict"] == verdict) for verdict in VERDICTS.values()]
        lines.append(f"| {decoder} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines)


def too_few_text(images: pd.DataFrame, settings: pd.DataFrame, found: pd.DataFrame) -> str:
    """Says what would tell the best setting from the reference where the study cannot; '' if none.

    That is more pictures or, once there are two fills of each hole, more fills.
    """
    score, sign = column_of(DECIDES, settings.columns).name, DECIDES.better.sign
    n, several = images["picture"].nunique(), "fill" in images
    if n < FEWEST:
        return f"- Verdicts need {FEWEST} pictures, and there are {n}."
    fills = images["fill"].nunique() if several else 1
    by_fill = less_the_reference(images, ["picture", "fill"]) if several else None
    lines = []
    for kind, rows in settings.groupby("hole_kind", sort=False):
        best = (sign * rows.set_index(SETTING)[score]).idxmin()
        row = found.set_index(KEYS).loc[(kind, *best)] if best != REFERENCE else None
        if row is None or row["verdict"] or not row["difference"]:
            continue
        needed = images_needed(row["difference"], row["seen"], n)
        if needed > FAR * n:
            lines.append(
                f"- {kind}: {words(best)} and the reference are alike; {FAR} times the {n} "
                "pictures would not tell them apart."
            )
            continue
        wanted = rounded_count(needed)
        remedy = f"about {wanted} pictures would show it"
        if several:
            each = by_fill[(kind, *best)].unstack("fill").to_numpy()
            more = fills_needed(row["difference"], row["seen"], each)
            remedy = f"about {wanted} pictures would show it, but no number of fills"
            if isfinite(more):
                more = rounded_count(ceil(more))
                remedy = f"about {wanted} pictures or {more} fills of each hole would show it"
        lines.append(
            f"- {kind}: {words(best)} is not told apart from the reference by {n} pictures with "
            f"{fills} fill{'s' * (fills > 1)} of each hole. If the difference seen is real, "
            f"{remedy}."
        )
    return "\n".join(lines)


VERDICTS = {
    "shown better than the reference": "better",
    "not told apart from it": "",
    "shown worse": "worse",
}


def words(setting: tuple[str, str, int]) -> str:
    """Returns the name of a setting: 'halton, cosine, 8'."""
    decoder, gamma, iterations = setting
    unit = DECODERS[decoder].unit
    if unit != "iterations":  # such a decoder has no schedule
        return f"{decoder}, {iterations} {unit}"
    return f"{decoder}, {gamma}, {iterations}"


def difference(others: pd.DataFrame, setting: tuple[str, str, int]) -> str:
    """Returns a setting's difference from the reference with its interval, '' for the reference."""
    if setting == REFERENCE:
        return ""
    row = others.loc[setting]
    return with_interval(row["difference"], row["low"], row["high"])


def plot_study(settings: pd.DataFrame, path: Path) -> None:
    """Plots MaskGIT's decoder under each schedule (above), each decoder under cosine (below)."""
    score = column_of(DECIDES, settings.columns)
    kinds = list(dict.fromkeys(settings["hole_kind"]))
    ticks = [*STEPS, *(step for step in MORE_STEPS if step <= settings["steps"].max())]
    figure, axes = plt.subplots(2, len(kinds), figsize=(4 * len(kinds), 7), sharex=True)
    cuts = (("schedule", "decoder", "confidence"), ("decoder", "schedule", "cosine"))
    for row, (lines, fixed, value) in zip(axes, cuts, strict=True):
        for axis, kind in zip(row, kinds, strict=True):
            shown = settings[(settings["hole_kind"] == kind) & (settings[fixed] == value)]
            for name, points in shown.groupby(lines, sort=False):
                points = points.sort_values("steps")
                axis.plot(points["steps"], points[score.name], marker="o", ms=4, label=name)
            axis.set(title=f"{kind} holes, {fixed} {value}", xscale="log")
            axis.set_xticks(ticks, [str(step) for step in ticks])
            axis.minorticks_off()
            axis.grid(alpha=0.3)
        row[0].set_ylabel(score.label)
        row[-1].legend(title=lines, loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    for axis in axes[-1]:
        axis.set_xlabel("passes")
    save(figure, path)
