"""What is in a picture: tiles of a grid, colours of a plot, the axes of a figure."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from pipeline.reporting.pictures import ENLARGED_SIDE, GAP


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def tiles(path: Path, columns: int, side: int) -> np.ndarray:
    """The images of a grid with captions, row by row: uint8 (rows, columns, side, side, 3)."""
    scale = max(1, ENLARGED_SIDE // side)
    step = side + GAP
    picture = read(path)[::scale, ::scale]
    picture = picture[:, picture.shape[1] - columns * step + GAP :]  # captions stand on the left
    rows = (len(picture) + GAP) // step
    return np.stack(
        [
            [picture[y : y + side, x : x + side] for x in range(0, columns * step, step)]
            for y in range(0, rows * step, step)
        ]
    )


def colours(path: Path) -> set[tuple[int, ...]]:
    """The colours of a plot, RGB."""
    return set(map(tuple, np.unique(read(path)[..., :3].reshape(-1, 3), axis=0).tolist()))


def cycle(count: int) -> set[tuple[int, ...]]:
    """The colours in which matplotlib draws the first `count` lines."""
    return {tuple(round(255 * part) for part in colormaps["tab10"](i)[:3]) for i in range(count)}


@contextmanager
def drawn(plot: Callable[..., None], *data: object) -> Iterator[Figure]:
    """The figure that a plot function would save."""
    module = plot.__globals__
    figures = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(module, "save", lambda figure, path: figures.append(figure))
        plot(*data, Path("unused.png"))
    (figure,) = figures
    yield figure
    plt.close(figure)
