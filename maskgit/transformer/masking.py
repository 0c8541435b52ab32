"""Which tokens are hidden in training, and which pixels are known then: by a hole, or at random.

Everywhere in this library `hidden` is boolean, True = the transformer has to predict the token,
and `hole` is boolean, True = the pixel is to be filled.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from maskgit.data.known_pixels import mask_pixels
from maskgit.device import pixels_to_float
from maskgit.schedules import Gamma

PARTLY = 0.5  # share of the hole-shaped examples that are partly filled already


class Holes(NamedTuple):
    """Holes to train on, and what each does to the tokens (see `tokenizer.hidden_tokens`)."""

    pixels: Tensor  # bool (M, H, W), True = unknown
    touched: Tensor  # bool (M, N), places whose code cannot be known
    covered: Tensor  # bool (M, N), places with an unknown pixel in their own cell

    def pick(self, rows: Tensor) -> "Holes":
        return Holes(*[part[rows] for part in self])

    def to(self, device: torch.device) -> "Holes":
        return Holes(*[part.to(device) for part in self])


class Example(NamedTuple):
    """A batch to learn from."""

    tokens: Tensor  # int64 (B, N), the truth
    masked: Tensor  # bool (B, N), shown as the mask token
    hidden: Tensor  # bool (B, N), to be predicted; all of them masked
    known: Tensor  # float (B, 4, H, W), see `known_pixels`
    from_hole: Tensor  # bool (B,), False where tokens are hidden at random

    def to(self, device: torch.device) -> "Example":
        return Example(*[part.to(device) for part in self])


def mask_ratios(count: int, gamma: Gamma, rng: np.random.Generator) -> Tensor:
    """The share of tokens to hide in each of `count` images: gamma(r) of r ~ U[0, 1), (count,)
    (MaskGIT, section 3.1)."""
    return torch.tensor([gamma(r) for r in rng.random(count)], dtype=torch.float32)


def random_hidden(among: Tensor, ratio: Tensor, generator: torch.Generator) -> Tensor:
    """Training masks of masked visual token modelling (MaskGIT, section 3.1).

    Hides exactly ceil(ratio * n) of an image's n places `among`, bool (B, N), at least one of them,
    at uniformly random places. ratio: float (B,). Returns bool (B, N). All on one device.
    """
    count = (ratio * among.sum(dim=1)).clamp_min(1).ceil()
    noise = torch.rand(among.shape, generator=generator, device=among.device)
    noise = noise.masked_fill(~among, torch.inf)
    rank = noise.argsort(dim=1).argsort(dim=1)
    return (rank < count[:, None]) & among


def cells_to_pixels(places: Tensor, side: int) -> Tensor:
    """Places of a square grid, bool (B, N), as squares of pixels, bool (B, side, side)."""
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
) -> Example:
    """What inference meets, or, where not `from_hole` bool (B,), tokens hidden at random.

    images: uint8 (B, H, W, 3) and their tokens, integers (B, N); holes: one for each of them;
    ratio: float (B,), see `random_hidden`. Of a hole's tokens all are hidden, and where `partly`
    bool (B,) a random share of them, as after some steps of decoding. Of the rest, those whose code
    cannot be known are not shown either; a model that sees no pixels has to predict them. Where
    tokens are hidden at random, the pixels of all others are known. Everything lies on one device.
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
    known = mask_pixels(pixels_to_float(images), hole)
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
    """Batches that stay the same from run to run, for evaluations.

    images: uint8 (n, H, W, 3); tokens: uint16 (n, N). Every other image hides what a hole hides,
    the rest are hidden at random through gamma.
    """
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    batches = []
    for start in range(0, len(tokens), batch_size):
        rows = torch.arange(start, min(start + batch_size, len(tokens)))
        batch = hide(
            torch.from_numpy(images[rows]),
            torch.from_numpy(tokens[rows].astype(np.int64)),
            holes.pick(rows % len(holes.pixels)),
            rows % 2 == 0,
            torch.zeros(len(rows), dtype=torch.bool),
            mask_ratios(len(rows), gamma, rng),
            sees_pixels,
            generator,
        )
        batches.append(batch)
    return batches
