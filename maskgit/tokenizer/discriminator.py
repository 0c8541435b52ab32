"""The patch discriminator of VQGAN (arXiv 2012.09841, section 3.1) and its losses."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PatchDiscriminator(nn.Sequential):
    """A discriminator of overlapping patches: images (B, 3, H, W) -> logits (B, 1, H/8, W/8).

    PatchGAN (Isola et al., arXiv 1611.07004), with group norm in place of batch norm, so that the
    logits of an image do not depend on its batch.
    """

    def __init__(self, channels: int = 32):
        super().__init__(
            nn.Conv2d(3, channels, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1),
            nn.GroupNorm(8, 2 * channels),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * channels, 4 * channels, 4, stride=2, padding=1),
            nn.GroupNorm(8, 4 * channels),
            nn.LeakyReLU(0.2),
            nn.Conv2d(4 * channels, 1, 3, padding=1),
        )


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Returns the hinge loss: real logits should be above 1, fake ones below -1."""
    return 0.5 * (F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean())


def adaptive_weight(reconstruction: Tensor, adversarial: Tensor, last_layer: Tensor) -> Tensor:
    """Returns the weight of the adversarial loss at which both gradients are equal (equation 7)."""
    return gradient_ratio(*last_gradients(reconstruction, adversarial, last_layer))


def last_gradients(
    reconstruction: Tensor, adversarial: Tensor, last_layer: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns the gradients of both losses at the decoder's last layer."""
    (of_reconstruction,) = torch.autograd.grad(reconstruction, last_layer, retain_graph=True)
    (of_adversarial,) = torch.autograd.grad(adversarial, last_layer, retain_graph=True)
    return of_reconstruction, of_adversarial


def gradient_ratio(reconstruction: Tensor, adversarial: Tensor) -> Tensor:
    """Returns the ratio of two gradients' lengths, at most 10,000."""
    ratio = reconstruction.norm() / (adversarial.norm() + 1e-6)
    return ratio.clamp(0, 1e4).detach()
