"""Every two methods of a report held against each other, and the answer that follows."""

from itertools import combinations
from math import inf

import numpy as np
import pandas as pd

from maskgit.scoring.verdicts import images_needed, simultaneous_intervals
from pipeline.reporting.tables import BOUNDS, KEYS
from pipeline.reporting.text import with_interval

YARDSTICKS = (*BOUNDS, "one_pass")  # what nobody would choose as a schedule


def label(schedule: str, iterations: float) -> str:
    """'cosine 8', or 'telea'."""
    return schedule if pd.isna(iterations) else f"{schedule} {int(iterations)}"


def judged(scores: list[str]) -> str:
    """The score that decides: the kernel distance."""
    return next(name for name in scores if name.startswith(("kid", "kd_")))


def methods(images: pd.DataFrame) -> tuple[dict[str, pd.DataFrame], list[str], list[str]]:
    """Scores by method, over the same images in the same order; the settings and the fills.

    A setting is a schedule with a number of iterations; a fill, any other method that one could
    use instead.
    """
    found = {
        label(*key): group.sort_values("image").reset_index(drop=True)
        for key, group in images.groupby(["schedule", "iterations"], sort=False, dropna=False)
    }
    usable = {name: group for name, group in found.items() if name not in BOUNDS}
    settings = [
        name
        for name, group in usable.items()
        if group["iterations"].notna().all() and group["schedule"].iloc[0] not in YARDSTICKS
    ]
    return usable, settings, [name for name in usable if name not in settings]


def compare(images: pd.DataFrame) -> pd.DataFrame:
    """Each two settings, and each setting with each other fill, in each score.

    `difference` is first less second, `low` and `high` the ends of its interval: with 95 % all
    intervals of a score hold at once. `seen`: a true difference as large would probably have been
    shown. Only the score that decides has a verdict; see docs/scores.md. A score that not all
    methods have, as the diversity of a fill that is always the same, is left out.
    """
    by_method, settings, fills = methods(images)
    scores = [
        name
        for name in images.columns.difference(KEYS, sort=False)
        if all(group[name].notna().any() for group in by_method.values())
    ]
    pairs = [*combinations(settings, 2), *((name, fill) for name in settings for fill in fills)]
    tables = []
    for score in scores:
        column = {name: group[score].to_numpy() for name, group in by_method.items()}
        by_image = np.stack([column[a] - column[b] for a, b in pairs], axis=1)
        by_image = by_image[~np.isnan(by_image).any(axis=1)]  # an image without a hole
        if len(by_image) < 2:
            continue
        first, second = zip(*pairs, strict=True)
        found = simultaneous_intervals(by_image)
        columns = {"score": score, "first": first, "second": second, "n": len(by_image)}
        columns |= {"difference": found.mean, "low": found.low, "high": found.high}
        columns |= {"seen": found.seen}
        tables.append(pd.DataFrame(columns))
    table = pd.concat(tables, ignore_index=True)
    decides = table["score"] == judged(scores)
    table["verdict"] = [
        verdict(row["first"], row["second"], row["low"], row["high"]) if judge else ""
        for row, judge in zip(table.to_dict("records"), decides, strict=True)
    ]
    return table


def verdict(first: str, second: str, low: float, high: float) -> str:
    """In a score that is better when lower."""
    if high < 0:
        return f"{first} better"
    return f"{second} better" if low > 0 else "no difference shown"


def comparison_text(differences: pd.DataFrame, gamma: str, iterations: int) -> str:
    """The verdicts around the headline: schedules, numbers of iterations, other fills."""
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
            seen = f"; one of {row['seen']:.2g} would have been"
            words = row["verdict"] + (seen if row["verdict"].startswith("no ") else "")
            rows.append((f"{row['first']} less {row['second']}", cells, words))
    width, middle = (max((len(row[i]) for row in rows), default=0) for i in (0, 1))
    lines = [f"{a:<{width}}  {b:>{middle}}  {c}" for a, b, c in rows]
    title = f"Differences in {chosen['score'].iloc[0]}, on the same images, around {head}:"
    return "\n".join([title, *lines])


def _parts(name: str) -> tuple[str, str]:
    """'cosine 8' -> 'cosine', '8'; 'telea' -> 'telea', ''."""
    schedule, _, iterations = name.partition(" ")
    return schedule, iterations


def answer(images: pd.DataFrame, differences: pd.DataFrame) -> str:
    """Which schedule, with how many iterations: the fewest steps not shown to be worse."""
    by_method, settings, fills = methods(images)
    chosen = differences[differences["verdict"].fillna("") != ""]
    score, n = chosen["score"].iloc[0], int(chosen["n"].iloc[0])
    value = {name: group[score].mean() for name, group in by_method.items()}
    best = min(settings, key=value.get)
    to_best = {best: (0.0, 0.0, 0.0, 0.0)} | {name: _less(chosen, name, best) for name in settings}
    good = [name for name in settings if to_best[name][1] <= 0]
    steps = {name: by_method[name]["steps"].mean() for name in settings}
    use = min(good, key=lambda name: (steps[name], value[name]))
    difference, low, high, seen = to_best[use]

    schedule, iterations = _parts(use)
    times = f"{iterations} iteration{'s' if iterations != '1' else ''}"
    if round(steps[use]) != int(iterations):
        times += f" ({steps[use]:.1f} steps)"
    words = [f"Answer: gamma={schedule} with {times}, {score} {value[use]:.4f}."]
    if use == best:
        words.append(f"It is the lowest of {len(settings)} settings, and no fewer steps keep up.")
    else:
        words.append(
            f"Of {len(settings)} settings {len(good)} are not shown to be worse than the lowest, "
            f"{best} ({value[best]:.4f}), and of these it takes the fewest steps; "
            f"it lies {with_interval(difference, low, high)} above."
        )
        needed = images_needed(difference, seen, n)
        if n < needed < inf:
            words.append(
                f"{n} images are too few to tell a difference as small; "
                f"about {_rounded(needed)} would."
            )
    if fills:
        fill = min(fills, key=value.get)
        _, low, high, seen = _less(chosen, use, fill)
        how = "better than" if high < 0 else "worse than" if low > 0 else "not told apart from"
        words.append(f"It is {how} the best other fill, {fill} ({value[fill]:.4f}).")
    return " ".join(words)


def _less(chosen: pd.DataFrame, first: str, second: str) -> tuple[float, float, float, float]:
    """Difference first less second, its interval, and what would have been seen."""
    for row in chosen.to_dict("records"):
        if (row["first"], row["second"]) == (first, second):
            return row["difference"], row["low"], row["high"], row["seen"]
        if (row["first"], row["second"]) == (second, first):
            return -row["difference"], -row["high"], -row["low"], row["seen"]
    return 0.0, 0.0, 0.0, 0.0  # a method and itself


def _rounded(count: float) -> str:
    """To two digits, with commas: 1,300."""
    return f"{int(float(f'{count:.1e}')):,}"
