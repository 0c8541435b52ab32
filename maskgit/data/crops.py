"""Cuts random crops of a picture, at the scales of the windows in which photos are filled."""

import numpy as np

from maskgit.data.image_files import to_square

BOX = ("left", "top", "side")  # the columns of boxes, in pixels of the picture


def random_boxes(
    height: int, width: int, count: int, size: int, rng: np.random.Generator
) -> np.ndarray:
    """Returns random squares of a picture, int64 (count, 3), with the columns of BOX.

    Their sides are log-uniform between `size`, at which nothing is scaled, and the shorter side of
    the picture. If the shorter side is smaller than `size`, all squares have that side. Their
    places are uniform. The first squares are the same for any count.
    """
    longest = min(height, width)
    shortest = min(size, longest)
    boxes = np.empty((count, len(BOX)), dtype=np.int64)
    for box in boxes:
        side = round(float(np.exp(rng.uniform(np.log(shortest), np.log(longest)))))
        top, left = (rng.integers(length - side + 1) for length in (height, width))
        box[:] = left, top, side
    return boxes


def cut_boxes(image: np.ndarray, boxes: np.ndarray, size: int) -> np.ndarray:
    """Returns squares of `image`, uint8 (H, W, 3), scaled, as uint8 (count, size, size, 3)."""
    crops = np.empty((len(boxes), size, size, 3), dtype=np.uint8)
    for crop, (left, top, side) in zip(crops, boxes, strict=True):
        crop[:] = to_square(image[top : top + side, left : left + side], size, "crop")
    return crops
