"""The structural similarity of a whole batch on its device.

Wang et al. 2004, doi:10.1109/TIP.2003.819861. It is that of `maskgit.scoring.pixel_errors.ssim`,
which takes pictures one by one on the processor, to 1e-6 and better.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

REACH, SIGMA = 5, 1.5  # of the Gaussian window, in pixels; it is 11 x 11
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # of the paper, for values up to 255
BATCH = 64  # pictures at a time, since each takes a dozen maps in float64


def ssim(
    output: np.ndarray, truth: np.ndarray, hole: np.ndarray, device: torch.device
) -> np.ndarray:
    """As `maskgit.scoring.pixel_errors.ssim`, on a device that has float64."""
    rows = [np.empty(0)]
    for start in range(0, len(output), BATCH):
        batch = slice(start, start + BATCH)
        given = (
            torch.from_numpy(np.array(part[batch])).to(device) for part in (output, truth, hole)
        )
        rows.append(ssim_in_hole(*given).cpu().numpy())
    return np.concatenate(rows)


def ssim_in_hole(output: Tensor, truth: Tensor, hole: Tensor) -> Tensor:
    """Returns the mean structural similarity in each hole, float64 (N,), NaN where there is none.

    output, truth: uint8 (N, H, W, 3); hole: bool (N, H, W).
    """
    x, y = (images.permute(0, 3, 1, 2).double() for images in (output, truth))
    mean_x, mean_y, xx, yy, xy = blur(torch.stack([x, y, x * x, y * y, x * y])).unbind()
    variances = xx - mean_x * mean_x + yy - mean_y * mean_y
    covariance = xy - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x * mean_x + mean_y * mean_y + C1)
    similarity = luminance * (2 * covariance + C2) / (variances + C2)
    inside = hole[:, None].double()
    return (similarity * inside).sum(dim=(1, 2, 3)) / (3 * inside.sum(dim=(1, 2, 3)))


def blur(maps: Tensor) -> Tensor:
    """Returns maps float64 (..., H, W) blurred by the Gaussian window; edges are mirrored."""
    offsets = torch.arange(-REACH, REACH + 1, device=maps.device, dtype=maps.dtype)
    window = torch.exp(-0.5 * (offsets / SIGMA) ** 2)
    window = window / window.sum()
    flat = maps.flatten(0, -3)[:, None]
    for dim in (2, 3):
        flat = mirrored(flat, dim)
        flat = F.conv2d(flat, window.view(1, 1, -1, 1) if dim == 2 else window.view(1, 1, 1, -1))
    return flat.view(maps.shape)


def mirrored(maps: Tensor, dim: int) -> Tensor:
    """Returns maps longer by REACH on both sides of a dimension: c b a | a b c | c b a."""
    first, last = maps.narrow(dim, 0, REACH), maps.narrow(dim, maps.shape[dim] - REACH, REACH)
    return torch.cat([first.flip(dim), maps, last.flip(dim)], dim=dim)
