"""Drafts: coarse fills of holes, which a model draws again with more detail.

A large hole in a large picture is filled at a low resolution first. The fill, enlarged, is the
draft of windows of twice the resolution, and so on down to the picture's own. This is how Muse's
super-resolution transformer works (arXiv 2301.00704), here by one model. In training a draft is
made of the true picture: it has a half, a quarter or an eighth of its resolution and, as coarse
fills have, wrong colours. A coarse fill is often softer than its resolution allows; so a model that
met halves alone would take it for the detail that there is.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from maskgit.data.known_pixels import mask_pixels
from maskgit.rows import to_device

COARSENESS = 2, 4, 8  # true pixels per side that one pixel of a draft stands for
ERROR = 0.1  # largest standard deviation of wrong colours, which are in [-1, 1]
WITHIN = 0.5  # share of the drafts that `with_rest_of_hole` makes those of nearly a whole window
ERROR_GRID = 4  # places per side at which colours are wrong independently


class Drafts(NamedTuple):
    """Which images of a batch have a draft, and how wrong its colours are."""

    which: Tensor  # bool (B,)
    within: Tensor  # bool (B,), those of `which` in a large hole, for `with_rest_of_hole`
    coarseness: Tensor  # int64 (B,), the number of one of COARSENESS
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
    arrays = drawn < share, drawn < WITHIN * share, rng.integers(len(COARSENESS), size=count)
    return Drafts(*[to_device(each, device) for each in (*arrays, errors.astype(np.float32))])


def with_rest_of_hole(hole: Tensor, drafts: Drafts | None) -> Tensor:
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
    choices = torch.stack([softened(images, pixels) for pixels in COARSENESS])
    soft = choices[drafts.coarseness, torch.arange(len(images), device=images.device)]
    rough = (soft + errors).clamp(-1, 1)
    return mask_pixels(
        torch.where(hole[:, None], rough, images), hole, hole & drafts.which[:, None, None]
    )


def softened(images: Tensor, pixels: int) -> Tensor:
    """Returns images (B, 3, H, W), scaled down to averages of so many pixels per side, and up."""
    small = F.avg_pool2d(images, pixels)
    return F.interpolate(small, images.shape[2:], mode="bicubic", align_corners=False)
