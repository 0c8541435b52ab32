"""Compares the methods of a report pairwise, and names the best schedule and iterations."""

from itertools import combinations, repeat
from math import inf, isfinite

import numpy as np
import pandas as pd

from maskgit.scoring.baselines import BOUNDS
from maskgit.scoring.score import Better
from maskgit.scoring.scores import DECIDES, column_of, find, score_columns
from maskgit.scoring.verdicts import FEWEST, favoured, images_needed, simultaneous_intervals
from pipeline.plumbing.params import MEAN, ONE_PASS
from pipeline.reporting.text import rounded_count, with_interval

EXTREMES = {Better.LOWER: ("lowest", "above"), Better.HIGHER: ("highest", "below")}
YARDSTICKS = (*BOUNDS, ONE_PASS, MEAN)  # rows for comparison that are no schedules


def label(schedule: str, iterations: float) -> str:
    """Returns the name of a method: 'cosine 8', or 'telea'."""
    return schedule if pd.isna(iterations) else f"{schedule} {int(iterations)}"


def methods(images: pd.DataFrame) -> tuple[dict[str, pd.DataFrame], list[str], list[str]]:
    """Returns the scores by method, in the same order of pictures, the settings, and the fills.

    A setting is a schedule with a number of iterations; a fill is any other usable method. The
    windows of a picture are averaged: they are no independent samples.
    """
    method = ["schedule", "iterations"]
    pictures = images.groupby([*method, "picture"], sort=False, dropna=False, as_index=False)
    found = {
        label(*key): group.sort_values("picture").reset_index(drop=True)
        for key, group in pictures.mean(numeric_only=True).groupby(method, sort=False, dropna=False)
    }
    usable = {name: group for name, group in found.items() if name not in BOUNDS}
    settings = [
        name
        for name, group in usable.items()
        if group["iterations"].notna().all() and group["schedule"].iloc[0] not in YARDSTICKS
    ]
    return usable, settings, [name for name in usable if name not in settings]


def compare(images: pd.DataFrame) -> pd.DataFrame:
    """Compares all pairs of settings, and each setting with each fill, in each score.

    `difference` is first less second, `low` and `high` the ends of its interval; with 95 % all
    intervals of a score hold. `seen` is the true difference that would probably be shown. Only the
    score DECIDES has a verdict, by the first network that gives it; see docs/scores.md. A score
    that some method lacks, as the diversity of a deterministic fill, is left out.
    """
    by_method, settings, fills = methods(images)
    scores = [
        column
        for column in score_columns(images.columns)
        if all(group[column.name].notna().any() for group in by_method.values())
    ]
    pairs = [*combinations(settings, 2), *((name, fill) for name in settings for fill in fills)]
    tables, decides = [], column_of(DECIDES, images.columns).name
    for score, column, _ in scores:
        values = {name: group[column].to_numpy() for name, group in by_method.items()}
        by_image = np.stack([values[a] - values[b] for a, b in pairs], axis=1)
        by_image = by_image[~np.isnan(by_image).any(axis=1)]  # an image without a hole
        if len(by_image) < 2:
            continue
        first, second = zip(*pairs, strict=True)
        found = simultaneous_intervals(by_image)
        columns = {"score": column, "first": first, "second": second, "n": len(by_image)}
        columns |= {"difference": found.mean, "low": found.low, "high": found.high}
        columns |= {"seen": found.seen, "verdict": ""}
        if column == decides:
            ends = zip(first, second, found.low, found.high, strict=True)
            columns["verdict"] = [verdict(*row, score.better) for row in ends]
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def verdict(first: str, second: str, low: float, high: float, better: Better) -> str:
    """Returns the verdict in words; low, high: the interval of first less second."""
    shown = favoured(low, high, better)
    if shown:
        return f"{first if shown > 0 else second} better"
    return "no difference shown"


def comparison_text(differences: pd.DataFrame, gamma: str, iterations: int) -> str:
    """Returns the verdicts that involve the headline setting, as a text table.

    They are of schedules at its iterations, iterations under its schedule, and other fills.
    """
    chosen = differences[differences["verdict"].fillna("") != ""]
    head = label(gamma, iterations)
    rows = []
    for row in chosen.to_dict("records"):
        (one, first), (other, second) = (_parts(row[end]) for end in ("first", "second"))
        schedules = first == second == str(iterations)
        counts = one == other == gamma and head in (row["first"], row["second"])
        fills = row["first"] == head and (other in YARDSTICKS or not second)
        if schedules or counts or fills:
            cells = with_interval(row["difference"], row["low"], row["high"])
            known = row["seen"] > 0 and isfinite(row["seen"])
            seen = f"; one of {row['seen']:.2g} would have been" if known else ""
            words = row["verdict"] + (seen if row["verdict"].startswith("no ") else "")
            rows.append((f"{row['first']} less {row['second']}", cells, words))
    width, middle = (max((len(row[i]) for row in rows), default=0) for i in (0, 1))
    lines = [f"{a:<{width}}  {b:>{middle}}  {c}" for a, b, c in rows]
    title = f"Differences in {chosen['score'].iloc[0]}, on the same images, around {head}:"
    return "\n".join([title, *lines])


def _parts(name: str) -> tuple[str, str]:
    """Splits the name of a method: 'cosine 8' -> 'cosine', '8'; 'telea' -> 'telea', ''."""
    schedule, _, iterations = name.partition(" ")
    return schedule, iterations


def answer(images: pd.DataFrame, differences: pd.DataFrame, unit: str = "iterations") -> str:
    """Returns the advice: the fewest passes that are not shown to be worse than the best.

    unit: what the decoder's iterations count, see `Registered`; one of others has no schedule.
    """
    by_method, settings, fills = methods(images)
    chosen = differences[differences["verdict"].fillna("") != ""]
    score, n = chosen["score"].iloc[0], int(chosen["n"].iloc[0])
    better = find(score).score.better
    superlative, beyond = EXTREMES[better]
    value = {name: group[score].mean() for name, group in by_method.items()}
    badness = {name: better.sign * mean for name, mean in value.items()}
    best = min(settings, key=badness.get)
    to_best = {name: _less(chosen, name, best) for name in settings}
    good = [name for name in settings if favoured(*to_best[name][1:3], better) >= 0]
    steps = {name: by_method[name]["steps"].mean() for name in settings}
    use = min(good, key=lambda name: (steps[name], badness[name]))
    difference, low, high, seen = to_best[use]

    schedule, iterations = _parts(use)
    times = f"{iterations} {unit.removesuffix('s') if iterations == '1' else unit}"
    if round(steps[use]) != int(iterations):
        times += f" ({steps[use]:.1f} passes)"
    setting = f"gamma={schedule} with {times}" if unit == "iterations" else times
    words = [f"Answer: {setting}, {score} {value[use]:.4f}."]
    pairs = chosen[chosen["first"].isin(settings) & chosen["second"].isin(settings)]
    told_apart = favoured(pairs["low"].to_numpy(), pairs["high"].to_numpy(), better).any()
    if len(pairs) and not told_apart:
        words.append(
            f"It takes the fewest passes of {len(settings)} settings, between which no "
            f"difference is shown{_needed(pairs, n)}."
        )
    elif use == best:
        words.append(
            f"It is the {superlative} of {len(settings)} settings, and none with fewer passes "
            "keeps up."
        )
    else:
        words.append(
            f"Of {len(settings)} settings {len(good)} are statistically "
            f"indistinguishable from the {superlative}, {best} ({value[best]:.4f}). Of these it "
            "takes the fewest passes; "
            f"it lies {_apart(difference, low, high, better)} {beyond}."
        )
        needed = images_needed(difference, seen, n)
        if n < needed < inf:
            words.append(f"About {rounded_count(needed)} pictures would show one as small.")
    if fills:
        fill = min(fills, key=badness.get)
        _, low, high, _ = _less(chosen, use, fill)
        how = {1: "better than", -1: "worse than", 0: "not told apart from"}
        told = how[int(favoured(low, high, better))]
        words.append(f"It is {told} the best other fill, {fill} ({value[fill]:.4f}).")
    return " ".join(words)


def _needed(pairs: pd.DataFrame, n: int) -> str:
    """Returns how many pictures would show the clearest difference, if it is there at all."""
    if n < FEWEST:
        return f": verdicts need {FEWEST} pictures, and there are {n}"
    needed = min(map(images_needed, pairs["difference"], pairs["seen"], repeat(n)))
    if not n < needed < inf:  # the fills are the same
        return ""
    return f": if the clearest is real, about {rounded_count(needed)} pictures would show it"


def _less(chosen: pd.DataFrame, first: str, second: str) -> tuple[float, float, float, float]:
    """Returns the difference first less second, the ends of its interval, and `seen`."""
    for row in chosen.to_dict("records"):
        if (row["first"], row["second"]) == (first, second):
            return row["difference"], row["low"], row["high"], row["seen"]
        if (row["first"], row["second"]) == (second, first):
            return -row["difference"], -row["high"], -row["low"], row["seen"]
    return 0.0, 0.0, 0.0, 0.0  # a method and itself


def _apart(difference: float, low: float, high: float, better: Better) -> str:
    """Returns by how much a setting is worse, with its interval."""
    ends = sorted((better.sign * low, better.sign * high))
    return with_interval(better.sign * difference, *ends)
