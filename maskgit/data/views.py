"""Makes mirrored and shifted views of an image, which give the transformer more training tokens."""

import numpy as np
import torch
from torch import Tensor

FARTHEST = 1 / 16  # largest shift, as a share of the side


def view_maps(count: int, size: int) -> np.ndarray:
    """Returns the rows and columns of square images that form `count` views, int (count, 2, size).

    View v of a picture (size, size, ...) is `picture[rows][:, columns]`, where rows, columns = the
    map v. The first view is the picture itself, the second its mirror image. Further pairs are the
    same, shifted, with repeated edges. The shifts are the same for all images.
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


def take_views(images: Tensor, maps: Tensor) -> Tensor:
    """Returns a view of each image, (B, size, size, C); images of the same shape.

    maps: the views, one for each image, int (B, 2, size), see `view_maps`.
    """
    y, x = maps.unbind(dim=1)
    image = torch.arange(len(images), device=images.device)[:, None, None]
    return images[image, y[:, :, None], x[:, None, :]]
