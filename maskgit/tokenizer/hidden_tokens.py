"""From a hole in the picture to hidden tokens: those whose code can see a pixel of the hole."""

import torch.nn.functional as F
from torch import Tensor


def hidden_tokens(hole: Tensor, cell: int, margin: int) -> Tensor:
    """Tokens whose code can see a hole pixel.

    hole: bool (B, H, W). cell: pixels a token stands for, per side (4 for 64 -> 16).
    margin: pixels that the encoder sees beyond the cell, on each side.
    Returns bool (B, H/cell, W/cell).
    """
    seen = F.max_pool2d(hole[:, None].float(), cell + 2 * margin, stride=cell, padding=margin)
    return seen[:, 0] > 0
