"""How good inpainted images are: as a set (Fréchet distance) and hole by hole (PSNR, SSIM, L1)."""

from collections.abc import Callable

import numpy as np
from skimage.metrics import structural_similarity

from maskgit.features import Extractor

# A perfect fill has an infinite PSNR, which no mean survives. 8-bit images hardly reach this cap
# otherwise: it stands for one channel of one pixel in 50 000 being off by one.
PSNR_CAP = 100.0


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared Fréchet distance between Gaussians fitted to two sets of features.

    d² = |mu_a - mu_b|² + Tr(S_a) + Tr(S_b) - 2 Tr((S_a S_b)^(1/2)), S the covariances (over N - 1).
    Dowson & Landau 1982; as FID: Heusel et al. 2017, arXiv:1706.08500, eq. 6.

    No matrix root is taken: it is inexact where a covariance is singular, as it always is with
    fewer images than features. Write S = F^T F instead. S_a S_b has the same non-zero eigenvalues
    as M M^T with M = F_a F_b^T, so the trace of its root is the sum of the singular values of M.

    Args:
        a: (N_a, D), any real dtype; computed in float64. N_a >= 2.
        b: (N_b, D), N_b >= 2.

    Returns:
        A number >= 0, in squared feature units. Its bias depends on N: compare only at equal N.

    Raises:
        ValueError: wrong shapes, or values that are not finite.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(
            f"features must be (N_a, D) and (N_b, D) with N >= 2, not {a.shape} and {b.shape}"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("features must be finite")
    a, b = a.astype(np.float64), b.astype(np.float64)
    shift = a.mean(axis=0) - b.mean(axis=0)
    factor_a, factor_b = _covariance_factor(a), _covariance_factor(b)
    spread = np.sum(factor_a**2) + np.sum(factor_b**2)
    overlap = np.linalg.norm(factor_a @ factor_b.T, ord="nuc")
    # Rounding may leave equal sets a hair below zero.
    return max(0.0, float(shift @ shift + spread - 2 * overlap))


def _covariance_factor(x: np.ndarray) -> np.ndarray:
    """F with F^T F = covariance of the rows of x (N, D); F is (min(N, D), D)."""
    factor = (x - x.mean(axis=0)) / np.sqrt(len(x) - 1)
    if len(x) > x.shape[1]:
        # x = QR with orthogonal Q: the small R has the same R^T R.
        factor = np.linalg.qr(factor, mode="r")
    return factor


def hole_errors(output: np.ndarray, truth: np.ndarray, hole: np.ndarray) -> dict[str, np.ndarray]:
    """Errors of inpainted images inside their holes, image by image.

    Known pixels count for nothing: a small hole does not flatter. Take means with `np.nanmean`.

    Args:
        output: inpainted images, uint8 RGB, (N, H, W, 3), H and W at least 11.
        truth: true images, same shape and dtype.
        hole: bool, (N, H, W), True = was filled.

    Returns:
        float64 arrays of shape (N,), NaN where an image has no hole:
        `psnr_hole`: 10 log10(255² / MSE) in dB, the MSE over hole pixels and channels, at most
            PSNR_CAP, which a perfect fill gets. The mean over images is the mean of these, as is
            usual, not the PSNR of a mean error.
        `ssim_hole`: structural similarity in [-1, 1] (Wang et al. 2004, with their Gaussian window
            of 11 x 11, sigma 1.5), computed on the whole image, so that windows at the rim see both
            sides, then averaged over hole pixels and channels.
        `l1_hole`: mean absolute error over hole pixels and channels, in [0, 1] (1 = 255 levels).

    Raises:
        ValueError: shapes or dtypes do not fit.
    """
    if output.dtype != np.uint8 or truth.dtype != np.uint8 or hole.dtype != bool:
        raise ValueError(
            "output and truth must be uint8 and hole bool, "
            f"not {output.dtype}, {truth.dtype} and {hole.dtype}"
        )
    if output.shape != truth.shape or output.shape != (*hole.shape, 3):
        raise ValueError(
            "output and truth must be (N, H, W, 3) and hole (N, H, W), "
            f"not {output.shape}, {truth.shape} and {hole.shape}"
        )
    rows = [_hole_errors(*image) for image in zip(output, truth, hole, strict=True)]
    psnr, ssim, l1 = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return {"psnr_hole": psnr, "ssim_hole": ssim, "l1_hole": l1}


def _hole_errors(
    output: np.ndarray, truth: np.ndarray, hole: np.ndarray
) -> tuple[float, float, float]:
    """PSNR, SSIM and L1 of one image (H, W, 3) inside its hole (H, W)."""
    if not hole.any():
        return np.nan, np.nan, np.nan
    difference = (output[hole].astype(np.float64) - truth[hole]) / 255
    mse = np.mean(difference**2)
    psnr = min(PSNR_CAP, -10 * np.log10(mse)) if mse > 0 else PSNR_CAP
    _, ssim_map = structural_similarity(
        output,
        truth,
        channel_axis=2,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    return psnr, ssim_map[hole].mean(), np.abs(difference).mean()


def score(
    output: np.ndarray,
    truth: np.ndarray,
    hole: np.ndarray,
    truth_features: np.ndarray,
    extractor: Extractor,
    progress: Callable[[int], object] | None = None,
) -> dict[str, float]:
    """Every score of one set of inpainted images.

    Args:
        output: uint8 (N, H, W, 3), the inpainted images.
        truth: uint8 (N, H, W, 3), the same images without holes.
        hole: bool (N, H, W).
        truth_features: (N, D), of `truth`, by the same extractor.
        extractor: its name is the distance's.
        progress: see `Extractor.__call__`.

    Returns:
        `n`, the distance under the extractor's name, and the means of `hole_errors`.
    """
    features = extractor(output, progress=progress)
    errors = hole_errors(output, truth, hole)
    return {
        "n": len(output),
        extractor.name: frechet_distance(features, truth_features),
        **{name: float(np.nanmean(values)) for name, values in errors.items()},
    }
