"""Which tokens are hidden in training, and which pixels are known then: by a hole, or at random.

Everywhere in this library `hidden` is boolean, True = the transformer has to predict the token,
and `hole` is boolean, True = the pixel is to be filled.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from maskgit.data.known_pixels import known_pixels
from maskgit.schedules import Gamma

PARTLY = 0.5  # share of the hole-shaped examples that are partly filled already


class Holes(NamedTuple):
    """Holes to train on, and what each does to the tokens (see `tokenizer.hidden_tokens`)."""

    pixels: np.ndarray  # bool (M, H, W), True = unknown
    touched: np.ndarray  # bool (M, N), places whose code cannot be known
    covered: np.ndarray  # bool (M, N), places with an unknown pixel in their own cell

    def pick(self, rows: np.ndarray) -> "Holes":
        return Holes(*[part[rows] for part in self])


class Example(NamedTuple):
    """A batch to learn from."""

    tokens: Tensor  # int64 (B, N), the truth
    unseen: Tensor  # bool (B, N), shown as the mask token
    hidden: Tensor  # bool (B, N), to be predicted; all of them unseen
    known: Tensor  # float (B, 4, H, W), see `known_pixels`
    from_hole: Tensor  # bool (B,), False where tokens are hidden at random

    def to(self, device: torch.device) -> "Example":
        return Example(*[part.to(device) for part in self])


def random_hidden(among: Tensor, gamma: Gamma, generator: torch.Generator) -> Tensor:
    """Training masks of masked visual token modelling (MaskGIT, section 3.1).

    For each image draws r ~ U[0, 1) and hides exactly ceil(gamma(r) * n) of the n places `among`,
    bool (B, N), at least one of them, at uniformly random places. Returns bool (B, N).
    """
    ratio = torch.rand(len(among), generator=generator)
    share = torch.tensor([gamma(r) for r in ratio.tolist()])
    count = (share * among.sum(dim=1)).clamp_min(1).ceil()
    noise = torch.rand(among.shape, generator=generator).masked_fill(~among, torch.inf)
    rank = noise.argsort(dim=1).argsort(dim=1)
    return (rank < count[:, None]) & among


def cells_to_pixels(places: Tensor, side: int) -> Tensor:
    """Places of a square grid, bool (B, N), as squares of pixels, bool (B, side, side)."""
    grid = math.isqrt(places.shape[1])
    squares = places.unflatten(1, (grid, grid))
    return squares.repeat_interleave(side // grid, 1).repeat_interleave(side // grid, 2)


def hide(
    images: np.ndarray,
    tokens: np.ndarray,
    holes: Holes,
    from_hole: np.ndarray,
    partly: np.ndarray,
    sees_pixels: bool,
    gamma: Gamma,
    generator: torch.Generator,
) -> Example:
    """What inference meets, or, where not `from_hole` (B,), tokens hidden at random.

    images: uint8 (B, H, W, 3) and their tokens (B, N); holes: one for each of them. Of a hole's
    tokens all are hidden, and where `partly` (B,) a random share of them through gamma, as after
    some steps of decoding. Of the rest, those whose code cannot be known are not shown either; a
    model that sees no pixels has to predict them. Where tokens are hidden at random, the pixels of
    all others are known.
    """
    from_hole_rows = torch.from_numpy(from_hole)
    touched, covered = torch.from_numpy(holes.touched), torch.from_numpy(holes.covered)
    to_decide = covered if sees_pixels else touched
    at_random = random_hidden(torch.ones_like(touched), gamma, generator)
    some = random_hidden(to_decide, gamma, generator)
    left = torch.where(torch.from_numpy(partly)[:, None], some, to_decide)
    hidden = torch.where(from_hole_rows[:, None], left, at_random)
    unseen = torch.where(from_hole_rows[:, None], left | (touched & ~to_decide), at_random)
    squares = cells_to_pixels(at_random, images.shape[1]).numpy()
    hole = np.where(from_hole[:, None, None], holes.pixels, squares)
    known = known_pixels(images, hole, torch.device("cpu"))
    truth = torch.from_numpy(tokens.astype(np.int64))
    return Example(truth, unseen, hidden, known, from_hole_rows)


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
    generator = torch.Generator().manual_seed(seed)
    batches = []
    for start in range(0, len(tokens), batch_size):
        rows = np.arange(start, min(start + batch_size, len(tokens)))
        batch = hide(
            images[rows],
            tokens[rows],
            holes.pick(rows % len(holes.pixels)),
            rows % 2 == 0,
            np.zeros(len(rows), dtype=bool),
            sees_pixels,
            gamma,
            generator,
        )
        batches.append(batch)
    return batches
