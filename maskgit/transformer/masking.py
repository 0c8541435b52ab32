"""Which tokens are hidden: from a hole in the picture, or at random for training.

Everywhere in this library `hidden` is boolean, True = the transformer has to predict the token,
and `hole` is boolean, True = the pixel is to be filled.
"""

import numpy as np
import torch
from torch import Tensor

from maskgit.schedules import Gamma


def random_hidden(batch: int, tokens: int, gamma: Gamma, generator: torch.Generator) -> Tensor:
    """Training masks of masked visual token modelling (MaskGIT, section 3.1).

    For each image draws r ~ U[0, 1) and hides exactly ceil(gamma(r) * tokens) tokens, at least
    one, at uniformly random places. Returns bool (batch, tokens).
    """
    ratio = torch.rand(batch, generator=generator)
    count = torch.tensor([max(1.0, gamma(r) * tokens) for r in ratio.tolist()]).ceil()
    rank = torch.rand(batch, tokens, generator=generator).argsort(dim=1).argsort(dim=1)
    return rank < count[:, None]


def fixed_batches(
    tokens: np.ndarray,
    holes: np.ndarray,
    gamma: Gamma,
    seed: int,
    batch_size: int = 64,
) -> list[tuple[Tensor, Tensor]]:
    """Batches of tokens (B, N) and hidden places (B, N) that stay the same from run to run.

    tokens: uint16 (n, N). holes: bool (M, N), hidden sets of real holes. Every other image hides
    what a hole hides, the rest are hidden at random through gamma.
    """
    generator = torch.Generator().manual_seed(seed)
    batches = []
    for start in range(0, len(tokens), batch_size):
        batch = torch.from_numpy(tokens[start : start + batch_size].astype(np.int64))
        hidden = random_hidden(*batch.shape, gamma, generator)
        rows = (start + np.arange(0, len(batch), 2)) % len(holes)
        hidden[::2] = torch.from_numpy(holes[rows])
        batches.append((batch, hidden))
    return batches
