"""The views of an image that the transformer trains on: each gives it other tokens."""

import numpy as np

FARTHEST = 1 / 16  # shift, as a share of the side


def view_maps(count: int, size: int) -> np.ndarray:
    """Where the pixels of `count` views of square images come from, int (count, 2, size).

    View v of a picture (size, size, ...) is `picture[rows][:, columns]` with rows, columns = its
    map. First the picture as it is, then mirrored, then pairs of the same shifted somewhere, the
    edge repeated where that leaves a gap: fixed places, the same ones for all images.
    """
    rng = np.random.default_rng(0)
    farthest = round(FARTHEST * size)
    maps = []
    for view in range(count):
        if view % 2 == 0:
            shift = rng.integers(-farthest, farthest + 1, size=2) if view else np.zeros(2, int)
            rows, columns = np.clip(np.arange(size) + shift[:, None], 0, size - 1)
            maps.append((rows, columns))
        else:
            maps.append((rows, columns[::-1]))
    return np.array(maps)
