"""Windows of a picture at random places and scales, as a photo's holes are filled in."""

import numpy as np

from maskgit.data.image_files import to_square


def random_crops(image: np.ndarray, count: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Squares of `image`, uint8 (H, W, 3), scaled to `size`: uint8 (count, size, size, 3).

    Their sides are drawn evenly in the logarithm, from `size`, at which nothing is scaled, to the
    shorter side; all have that where it is smaller. Places are drawn evenly.
    """
    longest = min(image.shape[:2])
    shortest = min(size, longest)
    crops = np.empty((count, size, size, 3), dtype=np.uint8)
    for i in range(count):
        side = round(float(np.exp(rng.uniform(np.log(shortest), np.log(longest)))))
        top, left = (rng.integers(length - side + 1) for length in image.shape[:2])
        crops[i] = to_square(image[top : top + side, left : left + side], size, "crop")
    return crops
