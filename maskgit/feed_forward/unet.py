"""A U-Net that draws the pixels of a hole from the pixels around it, in one pass.

Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation",
arXiv 1505.04597, made of the tokenizer's residual blocks. Its highest resolution is half of the
picture's: one convolution reads 2 x 2 pixels for each place, and a sub-pixel convolution (arXiv
1609.05158) draws them. In equal time that learns more than convolutions of every pixel.

Trained to be near the truth, it draws one compromise between all that could stand in the hole. A
sampler draws one of these possibilities, which looks more natural and is farther from the truth
(Blau and Michaeli, "The Perception-Distortion Tradeoff", arXiv 1711.06077).
"""

from itertools import pairwise
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from maskgit.data.known_pixels import KnownPixelEmbedding
from maskgit.feed_forward.settings import UNetConfig
from maskgit.tokenizer.settings import norm_groups
from maskgit.tokenizer.vqgan import GroupNorm, ResidualBlock

STRIDE = 2  # pixels of the picture for each place of the highest resolution, per side


class UNet(nn.Module):
    """Known pixels (B, 4, H, W) -> images (B, 3, H, W) in [-1, 1], not clamped; H and W even.

    See `known_pixels` for the input. The keyword arguments are the fields of `UNetConfig`; raises
    ValueError where they fit no network.
    """

    def __init__(self, **config: Any):
        super().__init__()
        c = UNetConfig(**config)
        *finer, coarsest = c.channels
        steps = list(pairwise(c.channels))
        self.from_pixels = KnownPixelEmbedding(c.channels[0], STRIDE)
        self.down_blocks = nn.ModuleList(map(ResidualBlock, finer))
        self.halve = nn.ModuleList(
            nn.Conv2d(fine, coarse, 3, stride=2, padding=1) for fine, coarse in steps
        )
        self.coarse = nn.Sequential(*[ResidualBlock(coarsest) for _ in range(c.coarse_blocks)])
        self.after_doubling = nn.ModuleList(
            nn.Conv2d(coarse, fine, 3, padding=1) for fine, coarse in reversed(steps)
        )
        self.up_blocks = nn.ModuleList(map(ResidualBlock, reversed(finer)))
        first = c.channels[0]
        self.to_pixels = nn.Sequential(
            GroupNorm(norm_groups(first), first),
            nn.SiLU(),
            nn.Conv2d(first, 3 * STRIDE**2, 3, padding=1),
            nn.PixelShuffle(STRIDE),
        )

    def forward(self, known: Tensor) -> Tensor:
        x = self.from_pixels(known)
        skips = []
        for block, halve in zip(self.down_blocks, self.halve, strict=True):
            skips.append(block(x))
            x = halve(skips[-1])
        x = self.coarse(x)
        for conv, block in zip(self.after_doubling, self.up_blocks, strict=True):
            skip = skips.pop()
            doubled = F.interpolate(x, skip.shape[2:])
            x = block(conv(doubled) + skip)
        return self.to_pixels(x)

    def hidden_convolutions(self) -> list[nn.Parameter]:
        """The weights of all convolutions from hidden channels to hidden channels."""
        outer = self.from_pixels.weight, self.to_pixels[-2].weight
        weights = [p for p in self.parameters() if p.ndim == 4]
        return [p for p in weights if all(p is not other for other in outer)]
