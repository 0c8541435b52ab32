"""Decides which of several methods are better, with one error rate for all comparisons.

A report compares many methods on the same images, by the difference of scores for each image. All
comparisons share one error rate: without any true difference one report in twenty says "better".
Only the kernel distance is compared, since the Fréchet distance at small n ranks samplers wrongly,
see `maskgit.scoring.simulation`.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from maskgit.scoring.intervals import LEVEL, RESAMPLES
from maskgit.scoring.score import Better

POWER = 0.8  # probability with which a true difference as large as `seen` is shown
FEWEST = 30  # images; of fewer, resampling says too little about how far means stray


class Differences(NamedTuple):
    """M differences between methods and their simultaneous intervals, float64 (M,) each."""

    mean: np.ndarray
    low: np.ndarray  # the ends of simultaneous intervals
    high: np.ndarray
    seen: np.ndarray  # the smallest true difference that would be shown with probability POWER


def simultaneous_intervals(by_image: np.ndarray) -> Differences:
    """Returns simultaneous intervals: with 95 % all of them hold. The random seed is fixed.

    The largest of all studentised differences is bootstrapped over images (max-t: Romano & Wolf
    2005, doi:10.1198/016214504000000539). So correlated comparisons, as of one sampler at several
    numbers of iterations, widen the intervals less than independent ones. The error is estimated
    from the same images, and strays as in Student's t: that widens the intervals of few images.

    Args:
        by_image: (N, M), N >= 2, no NaN; the differences of image i in row i. Of fewer than FEWEST
            images the intervals have no ends. An interval is a point where all images differ by
            the same.
    """
    n = len(by_image)
    mean = by_image.mean(axis=0)
    unlike = np.ptp(by_image, axis=0) > 0  # by rounding, equal differences have an error, too
    error = np.where(unlike, by_image.std(axis=0, ddof=1) / np.sqrt(n), 0.0)
    if n < FEWEST or not unlike.any():
        half = np.where(unlike, np.inf, 0.0)
        return Differences(mean, mean - half, mean + half, half)
    scaled = (by_image - mean)[:, unlike] / error[unlike]
    rng = np.random.default_rng(0)
    largest = [
        np.abs(rng.multinomial(n, np.full(n, 1 / n)) @ scaled / n).max() for _ in range(RESAMPLES)
    ]
    reach = np.quantile(largest * np.sqrt(n / rng.chisquare(n - 1, RESAMPLES)), LEVEL)
    half = reach * error
    return Differences(mean, mean - half, mean + half, (reach + ndtri(POWER)) * error)


def favoured(low: np.ndarray, high: np.ndarray, better: Better) -> np.ndarray:
    """Returns which of two methods is better: 1 the first, -1 the second, 0 no difference shown.

    Args:
        low, high: the ends of the interval of first less second; any shape.
        better: whether lower or higher values of the score are better.
    """
    ends = better.sign * np.array([low, high])
    return (ends.max(axis=0) < 0).astype(int) - (ends.min(axis=0) > 0)


def images_needed(difference: float, seen: float, n: int) -> float:
    """Returns how many images would show a true `difference`, where n images show one of `seen`."""
    return n * (seen / difference) ** 2 if difference else np.inf


def fills_needed(difference: float, seen: float, by_fill: np.ndarray) -> float:
    """Returns how many fills of each hole would show a true `difference`; infinity where none do.

    The mean over N images of K fills each has the variance (a + b / K) / N. Part a is between
    images, b between the fills of one hole. More fills reduce only b.

    Args:
        difference: of two methods.
        seen: of `simultaneous_intervals` on the means over the fills.
        by_fill: (N, K), N, K >= 2; the differences of image i in row i.
    """
    fills = by_fill.shape[1]
    between_fills = by_fill.var(axis=1, ddof=1).mean()
    variance = by_fill.mean(axis=1).var(ddof=1)
    between_images = max(0.0, variance - between_fills / fills)
    allowed = variance * (difference / seen) ** 2 if seen else np.inf
    return between_fills / (allowed - between_images) if allowed > between_images else np.inf
