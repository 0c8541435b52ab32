"""What a fill looked like on the way: a picture of any size after each step of its decoding."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from maskgit.inpainting.any_size import Patch
from maskgit.inpainting.inpainter import GREY, Inpainter


@torch.inference_mode()
def picture_after(
    step: int, inpainter: Inpainter, image: np.ndarray, hole: np.ndarray, patches: Sequence[Patch]
) -> np.ndarray:
    """The picture with what all its windows had decided after so many steps; the rest is grey.

    image: uint8 (H, W, 3); hole: bool (H, W). patches: as `fill_photo` lets watch them, in that
    order. A window that took fewer steps stays as it was after its last. Returns uint8 (H, W, 3),
    known pixels bit for bit; only a fill itself, not its last step here, has its edge blended at
    the picture's own size.
    """
    shown = np.where(hole[..., None], np.uint8(GREY), image)
    if step < 1:
        return shown
    for window, small, unknown, drawn in patches:
        last = min(step, len(drawn.trajectory.tokens)) - 1
        _, picture = inpainter.snapshot(small[None], unknown[None], drawn.trajectory, last)
        large = Image.fromarray(picture[0]).resize((window.side,) * 2, Image.Resampling.BICUBIC)
        part = np.asarray(large)[window.within]
        shown[window.inner] = np.where(window.fills[..., None], part, shown[window.inner])
    return shown


def steps_taken(patches: Sequence[Patch]) -> int:
    """How many steps the window that took the most of them took."""
    return max((int(patch.drawn.trajectory.steps().max()) for patch in patches), default=0)
