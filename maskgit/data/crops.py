"""Cuts random crops of a picture, at the scales of the windows in which photos are filled."""

import numpy as np

from maskgit.data.image_files import to_square


def random_crops(image: np.ndarray, count: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Returns random squares of `image`, uint8 (H, W, 3), as uint8 (count, size, size, 3).

    Their sides are log-uniform between `size`, at which nothing is scaled, and the shorter side of
    the image. If the shorter side is smaller than `size`, all squares have that side. Their places
    are uniform.
    """
    longest = min(image.shape[:2])
    shortest = min(size, longest)
    crops = np.empty((count, size, size, 3), dtype=np.uint8)
    for i in range(count):
        side = round(float(np.exp(rng.uniform(np.log(shortest), np.log(longest)))))
        top, left = (rng.integers(length - side + 1) for length in image.shape[:2])
        crops[i] = to_square(image[top : top + side, left : left + side], size, "crop")
    return crops
