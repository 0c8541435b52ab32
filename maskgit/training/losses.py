"""Losses of drawn pixels."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def reconstruction_loss(output: Tensor, truth: Tensor) -> Tensor:
    """Returns mean absolute plus mean squared error: the first keeps edges, the second colours."""
    return F.l1_loss(output, truth) + F.mse_loss(output, truth)


def losses_in_hole(
    output: Tensor, truth: Tensor, hole: Tensor, perceptual: nn.Module | None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Returns `output` in the hole and `truth` elsewhere, and the losses of it for each hole pixel.

    output, truth: float (B, 3, H, W) in [-1, 1]; hole: bool (B, H, W), not empty in all images. The
    losses are `reconstruction_loss` and, with a perceptual distance, `perceptual_loss`. The pixels
    beside the hole count as well, since blending compares them.
    """
    drawn = F.max_pool2d(hole[:, None].float(), 3, stride=1, padding=1)
    output = torch.where(drawn > 0, output, truth)
    losses = {"reconstruction_loss": reconstruction_loss(output, truth) / drawn.mean()}
    if perceptual is not None:
        losses["perceptual_loss"] = perceptual(output, truth) / drawn.mean()
    return output, losses
