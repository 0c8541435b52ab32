"""Makes tables of scores: of methods, of single images, and by size or kind of the hole."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from maskgit.scoring.intervals import summarise
from maskgit.scoring.score import Scope
from maskgit.scoring.scores import score_columns

# Shares of the picture, the same for every data set, so that tables are comparable.
HOLE_AREAS = [0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 1]


def pictures_of(images: int, windows: int) -> np.ndarray:
    """Returns the picture of which each of a split's images is a window, int (images,).

    The first window of every picture comes first, then the second of every picture. windows: of
    each picture; 0 where images are whole pictures.
    """
    return np.arange(images) % (images // (windows or 1))


def table_row(
    schedule: str,
    iterations: int | None,
    n: int,
    scores: dict[str, float],
    steps: float | None = None,
) -> dict[str, object]:
    """Returns a row of the table of scores.

    steps: mean over the images; some decoders take another number of steps than `iterations`.
    """
    return {"schedule": schedule, "iterations": iterations, "n": n} | scores | {"steps": steps}


def image_table(
    schedule: str,
    iterations: int | None,
    holes: np.ndarray,
    columns: dict[str, np.ndarray],
    steps: np.ndarray | None = None,
    pictures: np.ndarray | None = None,
) -> pd.DataFrame:
    """Returns a row for each image.

    holes: bool (N, H, W). columns: scores, (N,) each. steps: (N,), taken in decoding. pictures: int
    (N,), of which picture each image is a window; by default each is a picture of its own.
    """
    keys = {
        "schedule": schedule,
        "iterations": iterations,
        "image": range(len(holes)),
        "picture": range(len(holes)) if pictures is None else pictures,
        "hole_area": holes.mean(axis=(1, 2)),
        "steps": np.nan if steps is None else steps,
    }
    return pd.DataFrame(keys | columns)


def by_area(images: pd.DataFrame, areas: Sequence[float] = HOLE_AREAS) -> pd.DataFrame:
    """Returns `bucket_table` by the size of the hole; areas: ends of the buckets, rising."""
    labels = [f"{low:.2f}-{high:.2f}" for low, high in pairwise(areas)]
    return bucket_table(images, pd.cut(images["hole_area"], areas, labels=labels))


def by_kind(images: pd.DataFrame, kinds: pd.Series) -> pd.DataFrame:
    """Returns `bucket_table` by the kind of the hole; kinds: by the image's number."""
    return bucket_table(images, images["image"].map(kinds).rename("hole_kind"))


def bucket_table(images: pd.DataFrame, buckets: pd.Series) -> pd.DataFrame:
    """Returns mean scores with intervals, a row for each method and each bucket with images.

    Scores of a whole set are left out: they depend on how many images it has.
    """
    found = score_columns(images.columns)
    scores = [column.name for column in found if column.score.scope is not Scope.SET]
    rows = []
    scored = images.dropna(subset=scores, how="all")
    methods = scored.groupby(["schedule", "iterations"], sort=False, dropna=False)
    for (schedule, iterations), method in methods:
        for bucket, group in method.groupby(buckets, observed=True):
            keys = {"schedule": schedule, "iterations": iterations, buckets.name: bucket}
            columns = {name: group[name].to_numpy() for name in scores}
            rows.append(keys | {"n": len(group)} | summarise(columns, group["picture"].to_numpy()))
    return pd.DataFrame(rows).astype({"iterations": "Int64"})
