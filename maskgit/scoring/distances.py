"""Distances between two sets of images, on their features, with the influence of each image.

The distances are the Fréchet distance (as FID) and the kernel distance (as KID). Neither is a mean
over images. So each comes with the *influences* of the images: the first-order change of the value
with the weight of an image. They sum to zero over a set. A resample in which image i counts w_i
times changes the value by the mean of w_i * influence_i. So a bootstrap over images becomes one of
a plain mean, see `maskgit.scoring.intervals`.

Resampling the distance itself is worse. A resample holds only 63 % of the images, some more than
once, so that its Fréchet distance lies far above the value, and an interval would have to be
shifted back. Each resample costs a decomposition. For close sets the spread is too large. Standard
deviations over fresh draws of images, by resampling the distance, and by influences:

    128 cat faces and Telea's fills of them, EfficientNet-Lite0     3.6    4.0    3.9
    the difference to the biharmonic fills of the same faces        1.40   1.59   1.56
    Gaussians close to each other, 40 images, 100 features          0.044  0.072  0.056

So intervals are somewhat too wide; tests/maskgit/scoring/test_distances.py compares them with fresh
draws.

Influences: Hampel 1974; as a variance estimate (infinitesimal jackknife): Jaeckel 1972, Efron 1982.
"""

from typing import NamedTuple

import numpy as np

CHUNK = 1024  # rows of a kernel matrix held at a time


class Distance(NamedTuple):
    """A distance between sets a and b, with influences.

    Attributes:
        value: the distance.
        influence_a: float64 (N_a,), of each image of a; mean zero.
        influence_b: float64 (N_b,), of each image of b; mean zero.
    """

    value: float
    influence_a: np.ndarray
    influence_b: np.ndarray

    def by_pair(self) -> np.ndarray:
        """Returns pseudo-values of pairs (a_i, b_i), float64 (N,), whose mean is the value.

        They can be used as the PSNR of image i: resampled, or subtracted from another method's.
        Needs N_a = N_b.
        """
        return self.value + self.influence_a + self.influence_b


def frechet_distance(a: np.ndarray, b: np.ndarray) -> Distance:
    """Returns the squared Fréchet distance between Gaussians fitted to two sets of features.

    d² = |mu_a - mu_b|² + Tr(S_a) + Tr(S_b) - 2 Tr((S_a S_b)^(1/2)), S the covariances (over N - 1).
    Dowson & Landau 1982; as FID: Heusel et al. 2017, arXiv:1706.08500, eq. 6.

    No matrix root is taken: it is inexact where a covariance is singular, as it always is with
    fewer images than features. Write S = F^T F instead. S_a S_b has the same non-zero eigenvalues
    as M M^T with M = F_a F_b^T, so the trace of its root is the sum of the singular values of M.

    Giving image i of a the weight 1 + e scales row i of M by the root of that. The singular values
    of M = U s V^T then grow in sum by e/2 (U s U^T)_ii, and likewise for b with V.

    Args:
        a: (N_a, D), any real dtype; computed in float64. N_a >= 2.
        b: (N_b, D), N_b >= 2.

    Returns:
        A distance >= 0, in squared feature units. Its bias depends on N: compare only at equal N.

    Raises:
        ValueError: wrong shapes, or values that are not finite.
    """
    a, b = _checked(a, b)
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    shift = mean_a - mean_b
    (basis_a, factor_a), (basis_b, factor_b) = _covariance_factor(a), _covariance_factor(b)
    u, s, vt = np.linalg.svd(factor_a @ factor_b.T, full_matrices=False)
    spread = np.sum(factor_a**2) + np.sum(factor_b**2)
    # Rounding may make the distance of equal sets slightly negative.
    value = max(0.0, float(shift @ shift + spread - 2 * s.sum()))

    def influence(x: np.ndarray, mean: np.ndarray, vectors: np.ndarray, shift: np.ndarray):
        n = len(x)
        own_spread = np.sum((x - mean) ** 2, axis=1) * n / (n - 1)
        own_overlap = n * np.sum(vectors**2 * s, axis=1)
        effect = 2 * (x - mean) @ shift + own_spread - own_overlap
        return effect - effect.mean()

    return Distance(
        value,
        influence(a, mean_a, u if basis_a is None else basis_a @ u, shift),
        influence(b, mean_b, vt.T if basis_b is None else basis_b @ vt.T, -shift),
    )


def kernel_distance(a: np.ndarray, b: np.ndarray, paired: bool) -> Distance:
    """Returns the unbiased squared maximum mean discrepancy with the kernel (x·y / D + 1)³.

    Bińkowski et al. 2018, arXiv:1801.01401, section 4, as KID; Gretton et al. 2012, JMLR 13, eq. 3.
    It is one estimate on all images, in place of a mean over random subsets: it has the same
    expectation, less variance, and needs no subset size.

    Args:
        a: (N_a, D), any real dtype; computed in float64. N_a >= 2.
        b: (N_b, D), N_b >= 2.
        paired: b_i is the truth of a_i. The kernel of such a pair is left out of the mean between
            the sets (Gretton et al. 2012, eq. 4), since the pair is not independent. Included, it
            would make the distance too small by about 2/N times the kernel's excess.

    Returns:
        A distance whose expectation is 0 for sets of one distribution, so that it may be negative.
        Images should be independent: with several windows of a picture it is a little too high.

    Raises:
        ValueError: wrong shapes, or values that are not finite.
    """
    a, b = _checked(a, b)
    if paired and len(a) != len(b):
        raise ValueError(f"pairs need as many images in a as in b, not {len(a)} and {len(b)}")
    within_a = _mean_kernel(a, a, others_only=True)
    within_b = _mean_kernel(b, b, others_only=True)
    a_to_b = _mean_kernel(a, b, others_only=paired)
    b_to_a = _mean_kernel(b, a, others_only=paired)
    value = within_a.mean() + within_b.mean() - 2 * a_to_b.mean()
    effect_a, effect_b = 2 * (within_a - a_to_b), 2 * (within_b - b_to_a)
    return Distance(float(value), effect_a - effect_a.mean(), effect_b - effect_b.mean())


def _checked(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns both sets in float64. Raises ValueError where they are not sets of features."""
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(
            f"features must be (N_a, D) and (N_b, D) with N >= 2, not {a.shape} and {b.shape}"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("features must be finite")
    return a.astype(np.float64), b.astype(np.float64)


def _covariance_factor(x: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Returns Q (N, D), orthonormal, and F (D, D): Q F = x (N, D), centred, over sqrt(N - 1).

    F^T F is then the covariance. Where N <= D, F is (N, D), and Q is None for the identity.
    """
    factor = (x - x.mean(axis=0)) / np.sqrt(len(x) - 1)
    if len(x) > x.shape[1]:
        return np.linalg.qr(factor)
    return None, factor


def _mean_kernel(x: np.ndarray, y: np.ndarray, others_only: bool) -> np.ndarray:
    """Returns the means over j of k(x_i, y_j), (N_x,), or over j other than i."""
    means = np.empty(len(x))
    for start in range(0, len(x), CHUNK):
        kernel = x[start : start + CHUNK] @ y.T / x.shape[1] + 1
        kernel *= kernel * kernel  # numpy's power takes nearly three times as long
        if others_only:
            rows = np.arange(len(kernel))
            kernel[rows, start + rows] = 0
        means[start : start + CHUNK] = kernel.sum(axis=1) / (len(y) - others_only)
    return means
