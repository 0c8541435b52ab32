"""Drafts: coarse fills of holes, which a model draws again with more detail.

A large hole in a large picture is filled at a low resolution first. The fill, enlarged, is the
draft of windows of twice the resolution, and so on down to the picture's own. This is how Muse's
super-resolution transformer works (arXiv 2301.00704), here by one model. In training a draft is
made of the true picture: it has half of its resolution and, as coarse fills have, wrong colours.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from maskgit.data.known_pixels import mask_pixels
from maskgit.rows import to_device

ERROR = 0.1  # largest standard deviation of wrong colours, which are in [-1, 1]
WITHIN = 0.5  # share of the drafts of nearly a whole window, as there is in a large hole
ERROR_GRID = 4  # places per side at which colours are wrong independently


class Drafts(NamedTuple):
    """Which images of a batch have a draft, and how wrong its colours are."""

    which: Tensor  # bool (B,)
    within: Tensor  # bool (B,), those of `which` that show the midst of a large hole
    errors: Tensor  # float (B, 3, ERROR_GRID, ERROR_GRID)


def draw_drafts(
    rng: np.random.Generator, count: int, share: float, device: torch.device
) -> Drafts | None:
    """Draws which of `count` images have drafts; None where the share of these is 0."""
    if not share:
        return None
    scale = ERROR * rng.random((count, 1, 1, 1))
    errors = scale * rng.standard_normal((count, 3, ERROR_GRID, ERROR_GRID))
    drawn = rng.random(count)
    masks = [to_device(drawn < limit, device) for limit in (share, WITHIN * share)]
    return Drafts(*masks, to_device(errors.astype(np.float32), device))


def widened(hole: Tensor, drafts: Drafts | None) -> Tensor:
    """Returns holes bool (B, H, W), where an image shows the midst of a large hole their rest."""
    return hole if drafts is None else hole ^ drafts.within[:, None, None]


def shown(images: Tensor, hole: Tensor, drafts: Drafts | None) -> Tensor:
    """Returns what a model sees of images with holes, float (B, 4, H, W), see `known_pixels`.

    images: float (B, 3, H, W) in [-1, 1]; hole: bool (B, H, W). In the hole only drafts are seen.
    """
    if drafts is None:
        return mask_pixels(images, hole)
    size = images.shape[2:]
    errors = F.interpolate(drafts.errors, size, mode="bilinear", align_corners=False)
    rough = (softened(images) + errors).clamp(-1, 1)
    return mask_pixels(
        torch.where(hole[:, None], rough, images), hole, hole & drafts.which[:, None, None]
    )


def softened(images: Tensor) -> Tensor:
    """Returns images (B, 3, H, W) at half of their resolution, enlarged again."""
    half = F.avg_pool2d(images, 2)
    return F.interpolate(half, images.shape[2:], mode="bicubic", align_corners=False)
