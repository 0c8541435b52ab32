"""From a hole in the picture to hidden tokens.

A place is *touched* by a hole where its code can see a pixel of it: the code cannot be known. It is
*covered* where a pixel of its own cell is missing: something has to be drawn there.
"""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor


class HiddenTokens(NamedTuple):
    """Bool (B, H/cell, W/cell) each; what is covered is touched, too."""

    touched: Tensor
    covered: Tensor


def hidden_tokens(hole: Tensor, cell: int, margin: int) -> HiddenTokens:
    """What a hole does to the tokens.

    hole: bool (B, H, W). cell: pixels a token stands for, per side (4 for 64 -> 16).
    margin: pixels that the encoder sees beyond the cell, on each side.
    """
    return HiddenTokens(_any(hole, cell, margin), _any(hole, cell, 0))


def _any(hole: Tensor, cell: int, margin: int) -> Tensor:
    seen = F.max_pool2d(hole[:, None].float(), cell + 2 * margin, stride=cell, padding=margin)
    return seen[:, 0] > 0
