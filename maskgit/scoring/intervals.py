"""Bootstrap intervals of means over images."""

import numpy as np

from maskgit.scoring.columns import with_ends

RESAMPLES = 2000
LEVEL = 0.95


def mean_interval(*samples: np.ndarray) -> tuple[float, float]:
    """Returns the bootstrap interval (percentiles, 95 %) of a mean over images.

    The random seed is fixed. The interval is of where the mean over very many images of the same
    kind lies, with the same models; models trained again are not in it. To compare two methods on
    the same images, pass the differences of each image, from which what images have in common
    cancels. Efron & Tibshirani 1993, sections 13.3 and 8.3. The error of few images is itself
    uncertain, so each resample is stretched by a factor, as in Student's t.

    Args:
        samples: (N,) each, N >= 2; NaN is left out. The statistic is the sum of their means, each
            resampled on its own.

    Returns:
        Lower and upper end; NaN where a sample has fewer than two values.
    """
    from scipy.stats import bootstrap  # imported here, since it takes more than a second

    known = [np.asarray(sample)[~np.isnan(sample)] for sample in samples]
    if min(map(len, known)) < 2:
        return np.nan, np.nan
    rng = np.random.default_rng(0)
    result = bootstrap(
        known,
        lambda *means, axis: sum(sample.mean(axis=axis) for sample in means),
        n_resamples=RESAMPLES,
        method="percentile",
        rng=rng,
    )
    mean, n = sum(sample.mean() for sample in known), min(map(len, known))
    stretch = np.sqrt(n / rng.chisquare(n - 1, RESAMPLES))
    resampled = mean + (result.bootstrap_distribution - mean) * stretch
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def mean_by_group(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Returns the mean of each group, float64 (G,), in rising order of the groups.

    Values of one group are no independent samples, as windows of one picture. A bootstrap over the
    means of groups has the right width. Davison & Hinkley 1997, section 3.8.

    Args:
        values: float (N,); NaN is left out. A group without another value has the mean NaN.
        groups: int (N,).
    """
    known = ~np.isnan(values)
    _, group = np.unique(groups, return_inverse=True)
    count = np.bincount(group, known)
    total = np.bincount(group, np.where(known, values, 0))
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)


def summarise(columns: dict[str, np.ndarray], groups: np.ndarray | None = None) -> dict[str, float]:
    """Returns the means over images, and the ends of their intervals as `_low` and `_high`.

    NaN (an image without a hole) is left out; a column of NaN alone stays NaN.

    groups: int (N,), see `mean_by_group`; by default each image is a group of its own.
    """
    if groups is not None:
        columns = {name: mean_by_group(values, groups) for name, values in columns.items()}
    means = {name: _mean(values) for name, values in columns.items()}
    intervals = {}
    for name, values in columns.items():
        _, low, high = with_ends(name)
        intervals[low], intervals[high] = mean_interval(values)
    return means | intervals


def _mean(values: np.ndarray) -> float:
    return np.nan if np.isnan(values).all() else float(np.nanmean(values))
