"""Perceptual distances of fills to true images, on the features of networks."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgit.device import best_device
from maskgit.perception import PerceptualLoss
from maskgit.pixels import to_float

BATCH = 16  # images that pass through the perceptual network together


def perceptual_errors(
    output: np.ndarray, truth: np.ndarray, hole: np.ndarray, network: str = "efficientnet_lite0"
) -> np.ndarray:
    """Returns the perceptual distance inside the hole of each image.

    As LPIPS (Zhang et al. 2018, arXiv:1801.03924, eq. 1), with all channel weights one and on the
    early layers of an EfficientNet-Lite (`maskgit.perception`): not comparable to published LPIPS,
    nor between networks. At each layer a place is weighted by the share of it that is hole.

    Args:
        output, truth, hole: as `maskgit.scoring.pixel_errors` takes them; computed in batches.
        network: see `maskgit.perception.efficientnet_lite`.

    Returns:
        float64 (N,), at least 0, NaN where an image has no hole.
    """
    device = best_device()
    layers = PerceptualLoss(network).eval().to(device)
    rows = [np.empty(0)]
    with torch.inference_mode():
        for start in range(0, len(output), BATCH):
            batch = slice(start, start + BATCH)
            pairs = zip(
                layers.features(to_float(output[batch], device)),
                layers.features(to_float(truth[batch], device)),
                strict=True,
            )
            holes = torch.from_numpy(np.array(hole[batch])).to(device).float()[:, None]
            rows.append(sum(_mean_in_hole(*pair, holes) for pair in pairs).cpu().numpy())
    return np.concatenate(rows)


def _mean_in_hole(a: Tensor, b: Tensor, hole: Tensor) -> Tensor:
    """Returns the squared distance of features (B, C, h, w), averaged over the hole: (B,)."""
    weight = F.adaptive_avg_pool2d(hole, a.shape[2:])
    error = (a - b).square().sum(dim=1, keepdim=True)
    total = (weight.double() * error.double()).sum(dim=(1, 2, 3))
    return total / weight.double().sum(dim=(1, 2, 3))


def lpips_errors(
    output: np.ndarray, truth: np.ndarray, hole: np.ndarray, network: nn.Module
) -> np.ndarray:
    """Returns the LPIPS of whole pictures, known pixels included, as papers report it.

    Args:
        output, truth, hole: as `maskgit.scoring.pixel_errors` takes them, but H and W at least 31;
            computed in batches.
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
