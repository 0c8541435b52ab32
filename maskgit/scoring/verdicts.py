"""Which of two methods is better, said only as often wrongly as is allowed.

A report compares many methods with each other. Every comparison is of the same images, so what is
judged is a difference for each image; all share one error rate: with no difference anywhere,
one report in twenty says "better" at all. Of the scores only the kernel distance is judged, since
the Fréchet distance at small n ranks samplers wrongly: see `maskgit.scoring.simulation`.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from maskgit.scoring.intervals import LEVEL, RESAMPLES
from maskgit.scoring.score import Better

POWER = 0.8  # with which a difference as large as `seen` would be noticed


class Differences(NamedTuple):
    """M differences between methods, float64 (M,) each."""

    mean: np.ndarray
    low: np.ndarray  # the ends of simultaneous intervals
    high: np.ndarray
    seen: np.ndarray  # the smallest true difference that would probably have been noticed


def simultaneous_intervals(by_image: np.ndarray) -> Differences:
    """Intervals that all hold at once with 95 %, the same at every call.

    The largest of all studentised differences is bootstrapped over images (max-t: Romano & Wolf
    2005, doi:10.1198/016214504000000539), so that comparisons that rise and fall together, as those
    of one sampler at several numbers of iterations do, cost less than as many independent ones.

    Args:
        by_image: (N, M), N >= 2, no NaN; the differences of image i in row i.
    """
    n = len(by_image)
    mean = by_image.mean(axis=0)
    error = by_image.std(axis=0, ddof=1) / np.sqrt(n)
    unlike = error > 0  # methods that never differ need no resampling
    if not unlike.any():
        return Differences(mean, mean, mean, error)
    scaled = (by_image - mean)[:, unlike] / error[unlike]
    rng = np.random.default_rng(0)
    largest = [
        np.abs(rng.multinomial(n, np.full(n, 1 / n)) @ scaled / n).max() for _ in range(RESAMPLES)
    ]
    reach = np.quantile(largest, LEVEL)
    half = reach * error
    return Differences(mean, mean - half, mean + half, (reach + norm.ppf(POWER)) * error)


def favoured(low: np.ndarray, high: np.ndarray, better: Better) -> np.ndarray:
    """Returns which of two methods is shown to be better: 1 the first, -1 the second, 0 neither.

    Args:
        low, high: the ends of the interval of first less second; any shape.
        better: which way the score gets better.
    """
    ends = better.sign * np.array([low, high])
    return (ends.max(axis=0) < 0).astype(int) - (ends.min(axis=0) > 0)


def images_needed(difference: float, seen: float, n: int) -> float:
    """How many images would probably show a true `difference`, where n show one of `seen`."""
    return n * (seen / difference) ** 2 if difference else np.inf
