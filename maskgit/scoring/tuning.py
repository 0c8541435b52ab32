"""Chooses settings of a decoder by its scores on the validation split."""

from collections.abc import Sequence

import numpy as np

SMALLEST = 1e-4  # kernel distances below this, or negative by chance, count as equal to it


def best_setting(kernel: Sequence[float], perceptual: Sequence[float]) -> int:
    """Returns the index of the lowest geometric mean of kernel distance and perceptual error.

    The kernel distance measures whether fills look like images, the perceptual error whether they
    look like the true image. The first without the second allows any plausible fill; the second
    without the first favours blurry averages.
    """
    kernel = np.maximum(np.asarray(kernel, dtype=np.float64), SMALLEST)
    return int(np.argmin(np.log(kernel) + np.log(np.asarray(perceptual, dtype=np.float64))))
