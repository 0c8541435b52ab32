"""Shows a fill of a picture of any size after each step of its decoding."""

from collections.abc import Sequence

import numpy as np
import torch

from maskgit.inpainting.any_size import Patch, continued, enlarge
from maskgit.inpainting.inpainter import GREY, Inpainter


@torch.inference_mode()
def picture_after(
    step: int, inpainter: Inpainter, image: np.ndarray, hole: np.ndarray, patches: Sequence[Patch]
) -> np.ndarray:
    """Returns the picture after a number of steps in every window, hidden tokens in grey.

    image: uint8 (H, W, 3); hole: bool (H, W). patches: as `fill_photo` passes them to `watch`, in
    that order. A window that took fewer steps is shown after its last. Returns uint8 (H, W, 3),
    known pixels bit for bit. The last step may differ from the finished fill, which is blended at
    the picture's own size.
    """
    height, width = hole.shape
    image, hole = continued(image, hole)
    shown = np.where(hole[..., None], np.uint8(GREY), image)
    for window, small, unknown, drawn, has_draft in patches if step > 0 else ():
        last = min(step, len(drawn.trajectory.tokens)) - 1
        task = small[None], unknown[None]
        draft = task[1] if has_draft else None
        _, picture = inpainter.snapshot(*task, drawn.trajectory, last, draft)
        window.paste(shown, enlarge(picture[0], window.side))
    return shown[:height, :width]


def steps_taken(patches: Sequence[Patch]) -> int:
    """Returns the largest number of steps that a window took, 0 without windows."""
    return max((int(patch.drawn.trajectory.steps().max()) for patch in patches), default=0)
