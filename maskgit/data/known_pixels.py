"""Prepares the known pixels of a picture with a hole as input of networks, and embeds them."""

import numpy as np
import torch
from torch import Tensor, nn

from maskgit.pixels import to_float

DRAFT = 0.5  # stands in the fourth channel where a pixel is a draft


def known_pixels(
    images: np.ndarray, hole: np.ndarray, device: torch.device, draft: np.ndarray | None = None
) -> Tensor:
    """Returns masked images and the mask of known pixels, float (N, 4, H, W).

    images: uint8 (N, H, W, 3); hole: bool (N, H, W), True = unknown. The first three
    channels are in [-1, 1], and 0 in the hole. The fourth is 1 where a pixel is known, 0 in the
    hole. draft: bool (N, H, W), hole pixels whose colours in `images` are a draft
    (`maskgit.data.drafts`). They stay, and the fourth channel is DRAFT.
    """
    masks = [None if m is None else torch.from_numpy(m).to(device) for m in (hole, draft)]
    return mask_pixels(to_float(images, device), *masks)


def mask_pixels(images: Tensor, hole: Tensor, draft: Tensor | None = None) -> Tensor:
    """Returns `known_pixels` for images float (B, 3, H, W) in [-1, 1] and masks bool (B, H, W)."""
    hole = hole[:, None]
    known = (~hole).to(images.dtype)
    if draft is None:
        return torch.cat([images.masked_fill(hole, 0), known], dim=1)
    draft = hole & draft[:, None]
    return torch.cat([images.masked_fill(hole & ~draft, 0), known + DRAFT * draft], dim=1)


KNOWN_CHANNELS = 4  # red, green, blue, and whether the pixel is known


class KnownPixelEmbedding(nn.Conv2d):
    """Embeds known pixels, (B, 4, H, W) -> (B, channels, H / step, W / step), by one convolution.

    seen: channels of what is embedded, where it is more than the known pixels. The kernel is two
    steps wide. On processors with AMX oneDNN's bf16 convolutions are wrong for
    kernels of 16 and more (in torch 2.13), so those run in float32.
    """

    def __init__(self, channels: int, step: int, bias: bool = True, seen: int = KNOWN_CHANNELS):
        super().__init__(seen, channels, 2 * step, stride=step, padding=step // 2, bias=bias)

    def forward(self, known: Tensor) -> Tensor:
        if known.device.type != "cpu" or self.kernel_size[0] < 16:
            return super().forward(known)
        with torch.autocast("cpu", enabled=False):
            return super().forward(known)
