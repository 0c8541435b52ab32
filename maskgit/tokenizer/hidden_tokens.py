"""Finds the tokens that a hole in the picture hides.

A token is *touched* by a hole where the encoder sees a hole pixel for it, so that the token cannot
be known. It is *covered* where a pixel of its own cell is in the hole, so that it has to be filled.
"""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor


class HiddenTokens(NamedTuple):
    """Touched and covered tokens, bool (B, H/cell, W/cell) each; covered ones are touched too."""

    touched: Tensor
    covered: Tensor

    def to_predict(self, sees_pixels: bool) -> Tensor:
        """Returns the tokens that a transformer predicts: all that cannot be known.

        One that sees the known pixels predicts covered tokens alone: the decoder draws what lies
        around the hole from its pixels.
        """
        return self.covered if sees_pixels else self.touched

    @property
    def left_out(self) -> Tensor:
        """The tokens of which a decoder that sees the known pixels gets no code.

        They cannot be known, and nothing of their own cell is to be drawn.
        """
        return self.touched & ~self.covered


def hidden_tokens(hole: Tensor, cell: int, margin: int) -> HiddenTokens:
    """Returns the tokens that a hole touches and covers.

    hole: bool (B, H, W). cell: pixels per side that a token stands for (4 for 64 -> 16).
    margin: pixels that the encoder sees beyond the cell, on each side.
    """
    return HiddenTokens(_any(hole, cell, margin), _any(hole, cell, 0))


def _any(hole: Tensor, cell: int, margin: int) -> Tensor:
    pooled = F.max_pool2d(hole[:, None].float(), cell + 2 * margin, stride=cell, padding=margin)
    return pooled[:, 0] > 0
