"""Errors of the filled pixels of each image.

Known pixels do not count, so that small holes do not score better. Each function takes

    output: inpainted images, uint8 RGB, (N, H, W, 3), H and W at least 11,
    truth: true images, same shape and dtype,
    hole: bool, (N, H, W), True = was filled,

and returns float64 (N,), NaN where an image has no hole. They raise ValueError where shapes or
dtypes do not fit.
"""

from collections.abc import Callable

import numpy as np

# A perfect fill has an infinite PSNR, which would make every mean infinite. Other fills in 8 bits
# hardly reach this cap, which is an error of one level in one channel of one pixel in 50 000.
PSNR_CAP = 100.0


def psnr(output: np.ndarray, truth: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Returns 10 log10(255² / MSE) in dB, the MSE over hole pixels and channels.

    It is at most PSNR_CAP. The mean over images is, as usual, the mean of these values, not the
    PSNR of a mean error.
    """

    def of_image(output: np.ndarray, truth: np.ndarray, hole: np.ndarray) -> float:
        mse = np.mean(_difference(output, truth, hole) ** 2)
        return min(PSNR_CAP, -10 * np.log10(mse)) if mse > 0 else PSNR_CAP

    return _by_image(of_image, output, truth, hole)


def ssim(output: np.ndarray, truth: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Returns the structural similarity in [-1, 1], averaged over hole pixels and channels.

    Wang et al. 2004, with their Gaussian window of 11 x 11, sigma 1.5. It is computed on the whole
    image, so that windows at the rim see both sides.
    """
    from skimage.metrics import structural_similarity  # takes a third of a second

    def of_image(output: np.ndarray, truth: np.ndarray, hole: np.ndarray) -> float:
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
        return ssim_map[hole].mean()

    return _by_image(of_image, output, truth, hole)


def l1(output: np.ndarray, truth: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Returns the mean absolute error over hole pixels and channels, in [0, 1] (1 = 255 levels)."""

    def of_image(output: np.ndarray, truth: np.ndarray, hole: np.ndarray) -> float:
        return np.abs(_difference(output, truth, hole)).mean()

    return _by_image(of_image, output, truth, hole)


def _difference(output: np.ndarray, truth: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Returns the differences at the hole pixels of one image, float64 (pixels, 3) in [-1, 1]."""
    return (output[hole].astype(np.float64) - truth[hole]) / 255


def _by_image(
    error: Callable[..., float], output: np.ndarray, truth: np.ndarray, hole: np.ndarray
) -> np.ndarray:
    """Checks the arrays and applies an error to each image; NaN where it has no hole."""
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
    images = zip(output, truth, hole, strict=True)
    return np.array([error(*image) if image[2].any() else np.nan for image in images], np.float64)
