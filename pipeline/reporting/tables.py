"""Scores image by image: the table of them, and what follows from it without the images."""

from itertools import combinations, pairwise

import numpy as np
import pandas as pd

from maskgit.scoring.intervals import mean_interval, summarise

KEYS = ["schedule", "iterations", "image", "hole_area"]  # the other columns are scores

# Shares of the picture, the same for every data set, so that tables can be laid side by side.
HOLE_AREAS = [0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 1]

HIGHER_IS_BETTER = ("psnr_hole", "ssim_hole")
BOUNDS = ("tokenizer", "true_images")  # no methods, but what they lie between


def table_row(
    schedule: str, iterations: int | None, n: int, scores: dict[str, float]
) -> dict[str, object]:
    return {"schedule": schedule, "iterations": iterations, "n": n} | scores


def image_table(
    schedule: str, iterations: int | None, holes: np.ndarray, columns: dict[str, np.ndarray]
) -> pd.DataFrame:
    """A row for each image. holes: bool (N, H, W); columns: scores, (N,) each."""
    keys = {
        "schedule": schedule,
        "iterations": iterations,
        "image": range(len(holes)),
        "hole_area": holes.mean(axis=(1, 2)),
    }
    return pd.DataFrame(keys | columns)


def bucket_table(images: pd.DataFrame) -> pd.DataFrame:
    """Scores inside the hole by its size: a row for each method and each bucket that has images.

    Distances are left out: each is of a whole set, and depends on how many images that has.
    """
    scores = [name for name in images.columns if name.endswith("_hole")]
    labels = [f"{low:.2f}-{high:.2f}" for low, high in pairwise(HOLE_AREAS)]
    buckets = pd.cut(images["hole_area"], HOLE_AREAS, labels=labels).rename("hole_area")
    rows = []
    scored = images.dropna(subset=scores, how="all")
    methods = scored.groupby(["schedule", "iterations"], sort=False, dropna=False)
    for (schedule, iterations), method in methods:
        for bucket, group in method.groupby(buckets, observed=True):
            keys = {"schedule": schedule, "iterations": iterations, "hole_area": bucket}
            columns = {name: group[name].to_numpy() for name in scores}
            rows.append(keys | {"n": len(group)} | summarise(columns))
    return pd.DataFrame(rows).astype({"iterations": "Int64"})


def compare(images: pd.DataFrame) -> pd.DataFrame:
    """Differences between methods on the same images, with their intervals.

    For each number of iterations each two schedules, and each schedule with the best classic fill
    (least distance). `difference` is first less second. A method is called better where the
    interval of the difference leaves out zero; every twentieth interval does so by chance.
    """
    scores = [name for name in images.columns if name not in KEYS]
    fills = images[images["iterations"].isna() & ~images["schedule"].isin(BOUNDS)]
    baselines = dict(list(fills.groupby("schedule", sort=False)))
    best = min(baselines, key=lambda name: baselines[name][scores[0]].mean(), default=None)
    rows = []
    for iterations, group in images.dropna(subset="iterations").groupby("iterations"):
        methods = dict(list(group.groupby("schedule", sort=False)))
        pairs = list(combinations(methods, 2))
        if best is not None:
            pairs += [(name, best) for name in methods]
        methods |= baselines
        for first, second in pairs:
            for score in scores:
                by_image = methods[first][score].to_numpy() - methods[second][score].to_numpy()
                low, high = mean_interval(by_image)
                rows.append(
                    {
                        "iterations": int(iterations),
                        "score": score,
                        "first": first,
                        "second": second,
                        "n": len(by_image),
                        "difference": np.nanmean(by_image),
                        "low": low,
                        "high": high,
                        "verdict": verdict(score, first, second, low, high),
                    }
                )
    return pd.DataFrame(rows)


def verdict(score: str, first: str, second: str, low: float, high: float) -> str:
    if not (low > 0 or high < 0):
        return "no difference shown"
    first_is_better = (low > 0) == (score in HIGHER_IS_BETTER)
    return f"{first if first_is_better else second} better"
