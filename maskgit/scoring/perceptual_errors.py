"""Perceptual distances of fills to true images, on the features of networks."""

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgit.device import GPU_BATCH, best_device, has_float64
from maskgit.perception import PerceptualLoss
from maskgit.pixels import to_float

BATCH = 16  # images that pass through a network together on a processor


def batches(count: int, device: torch.device) -> list[slice]:
    """Returns the batches in which `count` images pass through a network."""
    size = BATCH if device.type == "cpu" else GPU_BATCH
    return [slice(start, start + size) for start in range(0, count, size)]


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
    layers = _layers(network, device)
    rows = [np.empty(0)]
    with torch.inference_mode():
        for batch in batches(len(output), device):
            pairs = zip(
                layers.features(to_float(output[batch], device)),
                layers.features(to_float(truth[batch], device)),
                strict=True,
            )
            holes = torch.from_numpy(np.array(hole[batch])).to(device).float()[:, None]
            rows.append(sum(_mean_in_hole(*pair, holes) for pair in pairs).cpu().numpy())
    return np.concatenate(rows)


@cache
def _layers(network: str, device: torch.device) -> PerceptualLoss:
    """Returns the early layers of a network; they are loaded once, as every fill is scored."""
    return PerceptualLoss(network).eval().to(device)


def _mean_in_hole(a: Tensor, b: Tensor, hole: Tensor) -> Tensor:
    """Returns the squared distance of features (B, C, h, w), averaged over the hole: (B,)."""
    precise = torch.float64 if has_float64(a.device) else torch.float32
    weight = F.adaptive_avg_pool2d(hole, a.shape[2:]).to(precise)
    error = (a - b).square().sum(dim=1, keepdim=True).to(precise)
    return (weight * error).sum(dim=(1, 2, 3)) / weight.sum(dim=(1, 2, 3))


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
        for batch in batches(len(output), device):
            pair = (to_float(images[batch], device) for images in (output, truth))
            rows.append(network(*pair).flatten().cpu().double().numpy())
    return np.where(hole.any(axis=(1, 2)), np.concatenate(rows), np.nan)
