"""Chooses which tokens are hidden in training, by a hole or at random, and which pixels are known.

Everywhere in this library `hidden` is boolean, True = the transformer has to predict the token,
and `hole` is boolean, True = the pixel is to be filled.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from maskgit.data.drafts import Drafts, shown
from maskgit.pixels import pixels_to_float
from maskgit.schedules import Gamma

PARTLY = 0.5  # share of the hole-shaped examples in which some hidden tokens are revealed already


class Holes(NamedTuple):
    """Holes to train on, and the tokens that each touches and covers (`hidden_tokens`)."""

    pixels: Tensor  # bool (M, H, W), True = unknown
    touched: Tensor  # bool (M, N), tokens that cannot be known
    covered: Tensor  # bool (M, N), tokens with an unknown pixel in their own cell

    def pick(self, rows: Tensor) -> "Holes":
        """Returns the holes with these numbers."""
        return Holes(*[part[rows] for part in self])

    def to(self, device: torch.device) -> "Holes":
        """Copies all tensors to a device."""
        return Holes(*[part.to(device) for part in self])


class Example(NamedTuple):
    """A training batch."""

    tokens: Tensor  # int64 (B, N), the truth
    masked: Tensor  # bool (B, N), replaced by the mask token
    hidden: Tensor  # bool (B, N), to be predicted; a subset of `masked`
    known: Tensor  # float (B, 4, H, W), see `known_pixels`
    from_hole: Tensor  # bool (B,), False where tokens are hidden at random

    def to(self, device: torch.device) -> "Example":
        """Copies all tensors to a device."""
        return Example(*[part.to(device) for part in self])

    def chunk(self, count: int) -> "list[Example]":
        """Splits the batch into at most `count` parts of equal size; the last may be smaller."""
        return [Example(*parts) for parts in zip(*[t.chunk(count) for t in self], strict=True)]


def mask_ratios(count: int, gamma: Gamma, rng: np.random.Generator) -> Tensor:
    """Samples the share of tokens to hide for each image, (count,): gamma(r), r ~ U[0, 1).

    MaskGIT, section 3.1.
    """
    return torch.tensor([gamma(r) for r in rng.random(count)], dtype=torch.float32)


def random_hidden(among: Tensor, ratio: Tensor, generator: torch.Generator) -> Tensor:
    """Samples training masks of masked visual token modelling (MaskGIT, section 3.1), bool (B, N).

    Of the n places `among`, bool (B, N), of an image exactly ceil(ratio * n) are hidden, at least
    one, uniformly at random. ratio: float (B,). All tensors are on one device.
    """
    count = (ratio * among.sum(dim=1)).clamp_min(1).ceil()
    noise = torch.rand(among.shape, generator=generator, device=among.device)
    noise = noise.masked_fill(~among, torch.inf)
    rank = noise.argsort(dim=1).argsort(dim=1)
    return (rank < count[:, None]) & among


def cells_to_pixels(places: Tensor, side: int) -> Tensor:
    """Converts places of a square grid, bool (B, N), to squares of pixels, bool (B, side, side)."""
    grid = math.isqrt(places.shape[1])
    squares = places.unflatten(1, (grid, grid))
    return squares.repeat_interleave(side // grid, 1).repeat_interleave(side // grid, 2)


def hide(
    images: Tensor,
    tokens: Tensor,
    holes: Holes,
    from_hole: Tensor,
    partly: Tensor,
    ratio: Tensor,
    sees_pixels: bool,
    generator: torch.Generator,
    drafts: Drafts | None = None,
) -> Example:
    """Makes a training batch: hides the tokens of a hole as at inference, or tokens at random.

    from_hole: bool (B,), True = by the hole. Then all tokens of the hole are hidden, or where
    `partly`, bool (B,), a random share of them, as after some steps of decoding. Other tokens that
    cannot be known are masked too; a model that sees no pixels has to predict them. Where tokens
    are hidden at random, the pixels of all others are known.

    images: uint8 (B, H, W, 3); tokens: theirs, integers (B, N); holes: one for each image; ratio:
    float (B,), see `random_hidden`. drafts: which of the images have a draft where pixels are
    unknown. All tensors are on one device.
    """
    to_decide = holes.covered if sees_pixels else holes.touched
    at_random = random_hidden(torch.ones_like(to_decide), ratio, generator)
    some = random_hidden(to_decide, ratio, generator)
    left = torch.where(partly[:, None], some, to_decide)
    hidden = torch.where(from_hole[:, None], left, at_random)
    cannot_be_known = left | (holes.touched & ~to_decide)
    masked = torch.where(from_hole[:, None], cannot_be_known, at_random)
    squares = cells_to_pixels(at_random, images.shape[1])
    hole = torch.where(from_hole[:, None, None], holes.pixels, squares)
    known = shown(pixels_to_float(images), hole, drafts)
    return Example(tokens.long(), masked, hidden, known, from_hole)


def fixed_batches(
    images: np.ndarray,
    tokens: np.ndarray,
    holes: Holes,
    sees_pixels: bool,
    gamma: Gamma,
    seed: int,
    batch_size: int = 64,
) -> list[Example]:
    """Makes evaluation batches that are the same at every call with the same seed.

    images: uint8 (n, H, W, 3); tokens: uint16 (n, N). In every other image the tokens of a hole are
    hidden, of one hole after the other; in the rest random ones, at ratios by gamma.
    """
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    batches = []
    for start in range(0, len(tokens), batch_size):
        rows = torch.arange(start, min(start + batch_size, len(tokens)))
        batch = hide(
            torch.from_numpy(images[rows.numpy()]),
            torch.from_numpy(tokens[rows.numpy()].astype(np.int64)),
            holes.pick(rows // 2 % len(holes.pixels)),
            rows % 2 == 0,
            torch.zeros(len(rows), dtype=torch.bool),
            mask_ratios(len(rows), gamma, rng),
            sees_pixels,
            generator,
        )
        batches.append(batch)
    return batches
