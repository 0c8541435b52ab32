"""A discriminator, which learns to tell drawn pictures from true ones, and its losses.

It sees feature maps of a fixed network (projected GAN, Sauer et al., arXiv 2111.01007, without its
random projections), the same that the perceptual loss compares. So it is useful after hundreds of
steps; from pixels it would take as many thousands.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgit import ranks
from maskgit.perception import PerceptualLoss
from maskgit.training.optim import adamw

HIDDEN = 32  # channels inside a head


class Seen(NamedTuple):
    """What a discriminator sees of images with holes."""

    drawn: list[Tensor]  # feature maps of the drawn pictures, float (B, C, h, w) each
    true: list[Tensor]  # the same of the true pictures
    hole_and_rim: Tensor  # float (B, 1, H, W), 1 at the pixels that count, else 0
    area: Tensor  # the share of these pixels in the batch, a scalar

    def detached(self) -> "Seen":
        """Returns a copy through which no gradient flows."""
        return self._replace(drawn=[each.detach() for each in self.drawn])


class MapDiscriminator(nn.Module):
    """Maps feature maps, float (B, C, h, w) of unit length over channels, to logits (B, 1, h, w).

    widths: the channels C of each map.
    """

    def __init__(self, widths: Sequence[int]):
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, HIDDEN, 1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(HIDDEN, 1, 1),
            )
            for width in widths
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        pairs = zip(self.heads, maps, strict=True)
        with torch.autocast(maps[0].device.type, enabled=False):  # float32, as the maps are
            return [head(each * each.shape[1] ** 0.5).float() for head, each in pairs]


class Adversary:
    """A discriminator that is trained beside the network whose pictures it judges.

    Attributes:
        parts: what a snapshot of the training keeps.
    """

    def __init__(self, perceptual: PerceptualLoss, learning_rate: float):
        """perceptual: whose maps it sees, the first of each resolution."""
        device = next(perceptual.parameters()).device
        self.discriminator = MapDiscriminator(perceptual.widths).to(device)
        parameters = list(self.discriminator.parameters())
        self.adamw = adamw(parameters, learning_rate, weight_decay=1e-2, betas=(0.5, 0.9))
        ranks.share_weights(self.discriminator)
        self.parts = {"discriminator": self.discriminator, "discriminator_adamw": self.adamw}

    def fooled(self, seen: Seen) -> Tensor:
        """Returns the loss of the network: what it draws should have high logits."""
        logits = self.discriminator.requires_grad_(False)(seen.drawn)
        return -masked_mean(logits, seen)

    def learn(self, batch: Sequence[Seen]) -> Tensor:
        """Changes the discriminator by a batch, whole or in parts, and returns its loss."""
        self.discriminator.requires_grad_(True).zero_grad(set_to_none=True)
        count, total = sum(len(part.hole_and_rim) for part in batch), 0.0
        for part in batch:
            loss = self.loss(part) * (len(part.hole_and_rim) / count)
            loss.backward()
            total = total + loss.detach()
        ranks.average_gradients(self.discriminator)
        self.adamw.step()
        return total

    def loss(self, seen: Seen) -> Tensor:
        """Returns the hinge loss: true logits should be above 1, drawn ones below -1."""
        real, fake = self.discriminator(seen.true), self.discriminator(seen.drawn)
        hinges = [0.5 * (F.relu(1 - a) + F.relu(1 + b)) for a, b in zip(real, fake, strict=True)]
        return masked_mean(hinges, seen)


def masked_mean(maps: Sequence[Tensor], seen: Seen) -> Tensor:
    """Returns the sum over places with a pixel that counts, as a share of the pixels that count.

    maps: (B, 1, h, w) each; the mean over them. A place stands for many pixels and counts whole, so
    thin holes weigh more than by their area.
    """
    counted = [each * F.adaptive_max_pool2d(seen.hole_and_rim, each.shape[2:]) for each in maps]
    return sum(each.mean() for each in counted) / (len(counted) * seen.area)
