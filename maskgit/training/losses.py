"""The loss of pixels that are drawn into holes."""

import torch
import torch.nn.functional as F
from torch import Tensor

from maskgit.perception import PerceptualLoss
from maskgit.training.discriminator import Adversary, Seen
from maskgit.training.trainer import Metrics


def reconstruction_loss(output: Tensor, truth: Tensor) -> Tensor:
    """Returns mean absolute plus mean squared error: the first keeps edges, the second colours."""
    return F.l1_loss(output, truth) + F.mse_loss(output, truth)


def hole_and_rim(hole: Tensor) -> Tensor:
    """Returns 1 in the hole, bool (B, H, W), and beside it, where blending compares pixels, else 0.

    Float (B, 1, H, W).
    """
    return F.max_pool2d(hole[:, None].float(), 3, stride=1, padding=1)


class DrawingLoss:
    """The weighted sum of the losses of what is drawn into holes.

    perceptual: needed where one of the weights is not 0.
    """

    def __init__(
        self,
        perceptual: PerceptualLoss | None,
        perceptual_weight: float,
        adversarial_weight: float = 0.0,
    ):
        self.perceptual = perceptual if perceptual_weight or adversarial_weight else None
        self.perceptual_weight = perceptual_weight
        self.adversarial_weight = adversarial_weight

    def __call__(
        self,
        output: Tensor,
        truth: Tensor,
        hole: Tensor,
        area: Tensor | None = None,
        adversary: Adversary | None = None,
    ) -> tuple[Tensor, Metrics, Seen | None]:
        """Returns the sum, each loss without gradients, and what an adversary sees.

        The absolute and squared losses are means over the pixels of `hole_and_rim`. The perceptual
        one is a sum over feature maps, divided by this area; so thin holes weigh more.

        output, truth: float (B, 3, H, W) in [-1, 1]. hole: bool (B, H, W), not empty in all images.
        area: the share of these pixels, of the whole batch where these images are a part of it;
        without, it is that of these images.
        """
        drawn, seen = hole_and_rim(hole), None
        area = drawn.mean() if area is None else area
        output = torch.where(drawn > 0, output, truth)
        loss = reconstruction_loss(output, truth) / area
        losses = {"reconstruction_loss": loss.detach()}
        if self.perceptual is not None:
            with torch.no_grad():
                true_maps = self.perceptual.features(truth)
            maps = self.perceptual.features(output)
            distance = self.perceptual.distance(maps, true_maps) / area
            losses["perceptual_loss"] = distance.detach()
            loss = loss + self.perceptual_weight * distance
        if adversary is not None:
            judged = [[each[i] for i in self.perceptual.coarsening] for each in (maps, true_maps)]
            seen = Seen(*judged, drawn, area)
            fooled = adversary.fooled(seen)
            losses["adversarial_loss"] = fooled.detach()
            loss = loss + self.adversarial_weight * fooled
            seen = seen.detached()
        return loss, losses, seen
