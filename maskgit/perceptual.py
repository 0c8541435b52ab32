"""Perceptual distance on the features of an ImageNet network that comes as a Python package.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (LPIPS),
arXiv 1801.03924, equation 1 with all channel weights one, on EfficientNet-Lite0 in place of VGG,
whose weights cannot be had without a download.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgit.efficientnet import efficientnet_lite0

DEPTH = 5  # blocks in use: strides 2 to 8, where texture lives; deeper ones see objects


class PerceptualLoss(nn.Module):
    """Distance between images float (B, 3, H, W) in [-1, 1]; a scalar, 0 for equal images."""

    def __init__(self):
        super().__init__()
        network = efficientnet_lite0()
        self.stem = nn.Sequential(network._conv_stem, nn.ReLU6())
        self.blocks = nn.ModuleList(network._blocks[:DEPTH])

    def features(self, images: Tensor) -> list[Tensor]:
        maps = [self.stem(images)]  # the package normalises with mean and std 0.5: [-1, 1]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return [F.normalize(m, dim=1) for m in maps]

    def forward(self, images: Tensor, targets: Tensor) -> Tensor:
        with torch.no_grad():
            truth = self.features(targets)
        pairs = zip(self.features(images), truth, strict=True)
        return sum(F.mse_loss(a, b) * a.shape[1] for a, b in pairs)
