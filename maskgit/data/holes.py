"""Holes: read from masks, or drawn as boxes, irregular strokes, or either."""

from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

HOLE_FROM = 128  # grey level of a mask from which a pixel is hole


def hole_of(mask: np.ndarray, shape: tuple[int, int] | None = None) -> np.ndarray:
    """The hole that a mask file shows, white = hole: uint8 RGB (H, W, 3) -> bool (H, W).

    shape: (height, width) to stretch it to, by nearest neighbours.
    """
    grey = Image.fromarray(mask).convert("L")
    if shape is not None:
        grey = grey.resize(shape[::-1], Image.Resampling.NEAREST)
    return np.asarray(grey) >= HOLE_FROM


def box(rng: np.random.Generator, size: int, area: float) -> np.ndarray:
    """One rectangle with sides in a ratio of at most two. Returns bool (size, size)."""
    aspect = 2 ** rng.uniform(-1, 1)
    height = int(np.clip(round(size * np.sqrt(area * aspect)), 1, size))
    width = int(np.clip(round(size * size * area / height), 1, size))
    top = rng.integers(size - height + 1)
    left = rng.integers(size - width + 1)
    hole = np.zeros((size, size), dtype=bool)
    hole[top : top + height, left : left + width] = True
    return hole


def strokes(rng: np.random.Generator, size: int, area: float) -> np.ndarray:
    """Wandering brush strokes, drawn dab by dab until the area is reached. bool (size, size)."""
    hole = np.zeros((size, size), dtype=np.uint8)
    wanted = area * size * size
    while hole.sum() < wanted:
        place = rng.uniform(0, size, 2)
        angle = rng.uniform(0, 2 * np.pi)
        radius = max(1, round(size * rng.uniform(0.03, 0.09)))
        for _ in range(rng.integers(size // 2, 2 * size)):
            cv2.circle(hole, (int(place[0]), int(place[1])), radius, 1, -1)
            angle += rng.normal(0, 0.25)
            place = np.clip(place + np.array([np.cos(angle), np.sin(angle)]), 0, size - 1)
            if hole.sum() >= wanted:
                break
    return hole.astype(bool)


def mixture(rng: np.random.Generator, size: int, area: float) -> np.ndarray:
    """A box or strokes, each half of the time. bool (size, size)."""
    return (box if rng.random() < 0.5 else strokes)(rng, size, area)


HOLES: dict[str, Callable[[np.random.Generator, int, float], np.ndarray]] = {
    "box": box,
    "strokes": strokes,
    "mixture": mixture,
}


def draw_holes(
    count: int, kind: str, area: tuple[float, float], size: int, seed: int
) -> np.ndarray:
    """`count` holes whose share of the picture is uniform in `area`; hole i is seeded by i.

    Returns bool (count, size, size), True = to be filled.
    """
    holes = np.empty((count, size, size), dtype=bool)
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        holes[i] = HOLES[kind](rng, size, rng.uniform(*area))
    return holes
