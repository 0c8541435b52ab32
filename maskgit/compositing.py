"""Puts made pixels into a hole and leaves every other pixel alone."""

import numpy as np

from maskgit.optim import to_float, to_uint8
from maskgit.vqgan import VQGAN


def composite(filled: np.ndarray, images: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """`filled` in the hole, `images` elsewhere, bit for bit; uint8 (N, H, W, 3), bool (N, H, W)."""
    return np.where(hole[..., None], filled, images)


def reconstruct(
    tokenizer: VQGAN, images: np.ndarray, hole: np.ndarray, batch_size: int = 16
) -> np.ndarray:
    """The tokenizer's own reconstruction pasted into the hole; uint8 (N, H, W, 3).

    It has seen the answer: no transformer on this tokenizer can do much better.
    """
    device = next(tokenizer.parameters()).device
    rebuilt = [
        to_uint8(tokenizer.decode(tokenizer.encode(to_float(images[i : i + batch_size], device))))
        for i in range(0, len(images), batch_size)
    ]
    return composite(np.concatenate(rebuilt), images, hole)
