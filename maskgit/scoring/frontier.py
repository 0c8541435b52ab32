"""The frontier of methods that are scored in two ways: those that no other method beats in both.

How near fills are to the truth and how natural they are as a set are at odds (Blau & Michaeli 2018,
"The Perception-Distortion Tradeoff", arXiv 1711.06077), so that an order of methods by one of the
two says only which of the two was asked for.
"""

import numpy as np


def on_frontier(points: np.ndarray) -> np.ndarray:
    """Returns which points no other point dominates, bool (N,).

    A point dominates another if it is nowhere higher and somewhere lower. So equal points are on
    the frontier together.

    points: float (N, 2), without NaN; lower values are better.
    """
    nowhere_higher = (points[:, None] <= points).all(axis=2)  # [i, j]: of point i, against point j
    somewhere_lower = (points[:, None] < points).any(axis=2)
    return ~(nowhere_higher & somewhere_lower).any(axis=0)


def between_ends(points: np.ndarray) -> int | None:
    """Returns the point of a frontier that gives up least of both scores against its ends.

    Each score is scaled to 0 at the end that has the lowest and 1 at the other; the sum is to be
    lowest.

    points: float (N, 2), all on the frontier. Returns an index, None where all points are ends.
    """
    least, most = points.min(axis=0), points.max(axis=0)
    inner = (points > least).all(axis=1)
    if not inner.any():
        return None
    given_up = ((points - least) / (most - least)).sum(axis=1)
    return int(np.argmin(np.where(inner, given_up, np.inf)))
