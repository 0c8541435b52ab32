"""Choosing settings of a decoder on the validation split, before anything is compared."""

from collections.abc import Sequence

import numpy as np

SMALLEST = 1e-4  # kernel distances below this, or negative by chance, count as equal to it


def best_setting(kernel: Sequence[float], perceptual: Sequence[float]) -> int:
    """The index of the lowest geometric mean of kernel distance and perceptual error.

    The first asks whether fills look like images, the second whether they look like this image:
    alone, one allows anything plausible, the other rewards the safe average.
    """
    kernel = np.maximum(np.asarray(kernel, dtype=np.float64), SMALLEST)
    return int(np.argmin(np.log(kernel) + np.log(np.asarray(perceptual, dtype=np.float64))))
