"""Fills holes by a feed-forward network."""

import numpy as np
import torch
from torch import Tensor

from maskgit.data.known_pixels import known_pixels
from maskgit.feed_forward.unet import UNet
from maskgit.parallel import batch_invariant_chunks
from maskgit.pixels import to_uint8


def only_known_pixels(known: Tensor, hole: Tensor) -> tuple[Tensor]:
    """Returns what the network sees in training, the known pixels; see `DrawingTrainer`."""
    return (known,)


@torch.inference_mode()
def fill_holes(model: UNet, images: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Returns the images with filled holes, uint8 (N, H, W, 3); known pixels are unchanged.

    images: uint8 (N, H, W, 3), of which nothing in the hole, bool (N, H, W), is seen. On a
    processor an image's fill does not depend on the others.
    """
    model.eval()
    known = known_pixels(images, hole, next(model.parameters()).device)
    drawn = [to_uint8(model(chunk)) for chunk in batch_invariant_chunks(known)]
    return np.where(hole[..., None], np.concatenate(drawn), images)
