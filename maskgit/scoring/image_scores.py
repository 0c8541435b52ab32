"""How good inpainted images are: as a set, and hole by hole.

Every score here is a column with a number for each image, whose mean is the score: so one bootstrap
(`maskgit.scoring.intervals`) serves them all, and two methods are compared image by image.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import torch
import torch.nn.functional as F
from skimage.metrics import structural_similarity
from torch import Tensor, nn

from maskgit.device import best_device, to_float
from maskgit.perception import PerceptualLoss
from maskgit.scoring.discrimination import discrimination
from maskgit.scoring.distances import frechet, kernel_distance
from maskgit.scoring.features import Extractor

# A perfect fill has an infinite PSNR, which no mean survives. 8-bit images hardly reach this cap
# otherwise: it stands for one channel of one pixel in 50 000 being off by one.
PSNR_CAP = 100.0

BATCH = 16  # images that pass through the perceptual network together


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


def perceptual_errors(output: np.ndarray, truth: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Perceptual distance inside the hole, image by image.

    As LPIPS (Zhang et al. 2018, arXiv:1801.03924, eq. 1), with all channel weights one and on the
    early layers of EfficientNet-Lite0 (`maskgit.perception`): not comparable to published LPIPS.
    At each layer a place counts by the share of it that is hole.

    Args:
        output, truth, hole: as `hole_errors` takes them; computed in batches.

    Returns:
        float64 (N,), at least 0, NaN where an image has no hole.
    """
    device = best_device()
    network = PerceptualLoss().eval().to(device)
    rows = [np.empty(0)]
    with torch.inference_mode():
        for start in range(0, len(output), BATCH):
            batch = slice(start, start + BATCH)
            pairs = zip(
                network.features(to_float(output[batch], device)),
                network.features(to_float(truth[batch], device)),
                strict=True,
            )
            holes = torch.from_numpy(np.array(hole[batch])).to(device).float()[:, None]
            rows.append(sum(_mean_in_hole(*pair, holes) for pair in pairs).cpu().numpy())
    return np.concatenate(rows)


def _mean_in_hole(a: Tensor, b: Tensor, hole: Tensor) -> Tensor:
    """Squared distance of features (B, C, h, w), averaged over the hole (B, 1, H, W): (B,)."""
    weight = F.adaptive_avg_pool2d(hole, a.shape[2:])
    error = (a - b).square().sum(dim=1, keepdim=True)
    total = (weight.double() * error.double()).sum(dim=(1, 2, 3))
    return total / weight.double().sum(dim=(1, 2, 3))


def lpips_errors(
    output: np.ndarray, truth: np.ndarray, hole: np.ndarray, network: nn.Module
) -> np.ndarray:
    """LPIPS of whole pictures, known pixels and all, as it is published.

    Args:
        output, truth, hole: as `hole_errors` takes them, but H and W at least 31; computed in
            batches.
        network: `maskgit.scoring.lpips_network`.

    Returns:
        float64 (N,), at least 0, NaN where an image has no hole.
    """
    rows, device = [np.empty(0)], best_device()
    network = network.to(device)
    with torch.inference_mode():
        for start in range(0, len(output), BATCH):
            pair = (to_float(images[start : start + BATCH], device) for images in (output, truth))
            rows.append(network(*pair).flatten().double().cpu().numpy())
    return np.where(hole.any(axis=(1, 2)), np.concatenate(rows), np.nan)


def score_images(
    output: np.ndarray,
    truth: np.ndarray,
    hole: np.ndarray,
    truth_features: np.ndarray,
    extractor: Extractor,
    progress: Callable[[int], object] | None = None,
    lpips: nn.Module | None = None,
) -> dict[str, np.ndarray]:
    """Every score of one set of inpainted images, as a column over the images.

    Args:
        output: uint8 (N, H, W, 3), the inpainted images.
        truth: uint8 (N, H, W, 3), the same images without holes.
        hole: bool (N, H, W).
        truth_features: (N, D), of `truth`, by the same extractor.
        extractor: its names are the distances'.
        progress: see `Extractor.__call__`.
        lpips: `maskgit.scoring.lpips_network`, where its weights can be had.

    Returns:
        float64 (N,) each: Fréchet and kernel distance under the extractor's names (pseudo-values:
        only their mean has a meaning), P-IDS and U-IDS, those of `hole_errors`,
        `perceptual_hole`, and with `lpips` a column of that name.
    """
    features = extractor(output, progress=progress)
    columns = {
        **distance_columns(features, truth_features, extractor, paired=True),
        **hole_errors(output, truth, hole),
        "perceptual_hole": perceptual_errors(output, truth, hole),
    }
    if lpips is not None:
        columns["lpips"] = lpips_errors(output, truth, hole, lpips)
    return columns


def score_fills(
    fills: Sequence[np.ndarray],
    truth: np.ndarray,
    hole: np.ndarray,
    truth_features: np.ndarray,
    extractor: Extractor,
    progress: Callable[[int], object] | None = None,
    lpips: nn.Module | None = None,
) -> dict[str, np.ndarray]:
    """`score_images` of several fills of the same holes, drawn with seeds of their own.

    Every column is the mean over the fills: the noise of drawing falls with their number, n stays
    the number of images. More than one have another column, `diversity_hole`: the mean perceptual
    distance between two fills of one hole.
    """
    scored = [
        score_images(fill, truth, hole, truth_features, extractor, progress, lpips)
        for fill in fills
    ]
    columns = {name: np.mean([each[name] for each in scored], axis=0) for name in scored[0]}
    if len(fills) > 1:
        apart = [perceptual_errors(*pair, hole) for pair in combinations(fills, 2)]
        columns["diversity_hole"] = np.mean(apart, axis=0)
    return columns


def distance_columns(
    features: np.ndarray, truth_features: np.ndarray, extractor: Extractor, paired: bool
) -> dict[str, np.ndarray]:
    """Fréchet and kernel distance of (N, D) features, each as N pseudo-values, P-IDS and U-IDS.

    Where the sets are no pairs, image i still goes with image i: any matching of two independent
    sets resamples them rightly.
    """
    return {
        extractor.name: frechet(features, truth_features).by_pair(),
        extractor.kernel_name: kernel_distance(features, truth_features, paired).by_pair(),
        **{
            f"{name}{extractor.suffix}": column
            for name, column in discrimination(features, truth_features).items()
        },
    }
