"""Measures a transformer's uncertainty of a hidden token by the hidden share of the hole."""

import numpy as np
import torch

from maskgit.device import autocast
from maskgit.transformer.kinds import Transformer
from maskgit.transformer.masking import Holes, hide
from maskgit.transformer.model import hidden_token_losses

SHARES = np.arange(1, 9) / 8  # of a hole's tokens that are hidden
BATCH = 64


@torch.inference_mode()
def uncertainty_curve(
    model: Transformer, images: np.ndarray, tokens: np.ndarray, holes: Holes, seed: int
) -> np.ndarray:
    """Returns the mean cross-entropy in nats of a hidden token at each of SHARES, float64 (8,).

    The cross-entropy is an upper bound of the entropy. The hidden tokens of a hole are random. The
    tokens hidden at one share are hidden at every larger one too, so that shares are comparable.

    images: uint8 (n, H, W, 3), not used in training; tokens: theirs, (n, N); holes: of each image
    in turn, repeated where there are fewer holes than images.
    """
    device = next(model.parameters()).device
    means = []
    for share in SHARES:
        generator = torch.Generator().manual_seed(seed)
        losses = []
        for start in range(0, len(images), BATCH):
            rows = torch.arange(start, min(start + BATCH, len(images)))
            all_of_them = torch.ones(len(rows), dtype=torch.bool)
            example = hide(
                torch.from_numpy(images[rows.numpy()]),
                torch.from_numpy(tokens[rows.numpy()].astype(np.int64)),
                holes.pick(rows % len(holes.pixels)),
                all_of_them,
                all_of_them,
                torch.full((len(rows),), share, dtype=torch.float32),
                model.sees_pixels,
                generator,
            )
            with autocast(device):
                losses.append(hidden_token_losses(model, example.to(device)).cpu().double())
        means.append(torch.cat(losses).mean().item())
    return np.array(means)
