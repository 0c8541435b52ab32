"""Poisson blending of a whole batch on its device, by conjugate gradients.

The processor solves each hole by a sparse factorisation (`maskgit.inpainting.seam`), for which a
GPU would wait. Both find the same membrane; pixels agree to one grey level.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

CLOSE = 1e-5  # the residual at which a solution is taken, as a share of the edge's values
CHECK_EVERY = 16  # iterations; to read the residuals, the processor waits for the device
MOST = 4  # at most so many iterations for each pixel of height and width


def blend_batch(filled: Tensor, images: Tensor, hole: Tensor) -> Tensor:
    """Blends as `maskgit.inpainting.seam.blend`; uint8 (N, H, W, 3), hole bool (N, H, W)."""
    full = hole.all(dim=2).all(dim=1)[:, None, None, None]  # nothing is known to compare with
    fills, known = filled.permute(0, 3, 1, 2).float(), images.permute(0, 3, 1, 2).float()
    smooth = membranes((known - fills).masked_fill(full, 0), hole)
    blended = (fills + smooth).round().clamp(0, 255)
    return torch.where(hole[:, None], blended, known).to(torch.uint8).permute(0, 2, 3, 1)


def membranes(difference: Tensor, hole: Tensor) -> Tensor:
    """Returns for each picture the smoothest function over the hole that equals `difference` at
    its edge, and 0 outside.

    difference: float (N, C, H, W), read next to the hole only; hole: bool (N, H, W). Each channel
    of each picture is a system A u = b of its own: A takes the sum of a pixel's neighbours in the
    hole from `degree` times the pixel, and b is the sum of its known neighbours. All are solved
    together by conjugate gradients (Hestenes & Stiefel 1952).
    """
    inside = hole[:, None].to(difference.dtype)
    degree = neighbour_sum(torch.ones_like(inside))
    residual = neighbour_sum(difference * (1 - inside)) * inside
    enough = CLOSE**2 * squares(residual)
    solution, direction, length = torch.zeros_like(residual), residual, squares(residual)
    for iteration in range(MOST * sum(hole.shape[1:])):
        if iteration % CHECK_EVERY == 0 and bool((length <= enough).all()):
            break
        applied = (degree * direction - neighbour_sum(direction)) * inside
        step = length / (direction * applied).sum(dim=(2, 3), keepdim=True).clamp_min(1e-30)
        solution = solution + step * direction
        residual = residual - step * applied
        before, length = length, squares(residual)
        direction = residual + length / before.clamp_min(1e-30) * direction
    return solution


def neighbour_sum(x: Tensor) -> Tensor:
    """Sums the four neighbours of each pixel of (N, C, H, W), of which there are none outside."""
    x = F.pad(x, (1, 1, 1, 1))
    return x[..., :-2, 1:-1] + x[..., 2:, 1:-1] + x[..., 1:-1, :-2] + x[..., 1:-1, 2:]


def squares(x: Tensor) -> Tensor:
    """Returns the squared length of each channel, (N, C, 1, 1)."""
    return x.square().sum(dim=(2, 3), keepdim=True)
