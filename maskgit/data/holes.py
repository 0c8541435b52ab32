"""Draws holes: boxes and strokes, and the kinds with which others publish their results.

Those of LaMa (Suvorov et al. 2022, arXiv 2109.07161; configs/data_gen/random_*_256.yaml) are drawn
at 256 x 256, as there, and scaled; those of RePaint (Lugmayr et al. 2022, arXiv 2201.09865,
section 5) are fixed. Each kind of theirs has its own size, whatever area is asked for.

Settings are checked against the names in `HOLES`, so OpenCV and SciPy, which take long to import,
are imported where they are used.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np


def dilate(hole: np.ndarray, by: int) -> np.ndarray:
    """Returns a hole, bool (H, W), with all pixels that lie within `by` pixels of it."""
    if by == 0 or not hole.any():
        return hole
    from scipy import ndimage

    return ndimage.distance_transform_edt(~hole) <= by


def stretched(hole: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Returns a hole, bool (H, W), stretched to a shape, (height, width).

    A pixel that the hole touches belongs to it. So hairs and scratches stay whole where a large
    mask is scaled down, and no known pixel has a part of the hole in it.
    """
    import cv2

    smaller = min(hole.shape[1], shape[1]), min(hole.shape[0], shape[0])
    touched = cv2.resize(hole.astype(np.float32), smaller, interpolation=cv2.INTER_AREA) > 0
    for axis, length in enumerate(shape):
        count, pixels = touched.shape[axis], np.arange(length)
        # Of an axis that grows, a pixel lies on one of the old pixels, or on two.
        first, last = pixels * count // length, -(-(pixels + 1) * count // length) - 1
        touched = touched.take(first, axis) | touched.take(last, axis)
    return touched


def box(rng: np.random.Generator, size: int, area: float) -> np.ndarray:
    """Draws a rectangle with sides in a ratio of about two at most; bool (size, size)."""
    aspect = 2 ** rng.uniform(-1, 1)
    height = int(np.clip(round(size * np.sqrt(area * aspect)), 1, size))
    width = int(np.clip(round(size * size * area / height), 1, size))
    top = rng.integers(size - height + 1)
    left = rng.integers(size - width + 1)
    hole = np.zeros((size, size), dtype=bool)
    hole[top : top + height, left : left + width] = True
    return hole


def strokes(rng: np.random.Generator, size: int, area: float) -> np.ndarray:
    """Draws random brush strokes until the area is reached; bool (size, size)."""
    import cv2

    hole = np.zeros((size, size), dtype=np.uint8)
    wanted = area * size * size
    while cv2.countNonZero(hole) < wanted:
        x, y = rng.uniform(0, size, 2).tolist()
        angle = rng.uniform(0, 2 * np.pi)
        radius = max(1, round(size * rng.uniform(0.03, 0.09)))
        for _ in range(rng.integers(size // 2, 2 * size)):
            cv2.circle(hole, (int(x), int(y)), radius, 1, -1)
            angle += rng.normal(0, 0.25)
            x = min(max(x + np.cos(angle), 0), size - 1)
            y = min(max(y + np.sin(angle), 0), size - 1)
            if cv2.countNonZero(hole) >= wanted:
                break
    return hole.astype(bool)


def mixture(rng: np.random.Generator, size: int, area: float) -> np.ndarray:
    """Draws a box or strokes, with equal probability; bool (size, size)."""
    return (box if rng.random() < 0.5 else strokes)(rng, size, area)


class Lama(NamedTuple):
    """Ranges of a kind of LaMa's holes, polylines or boxes, in pixels of 256; counts inclusive."""

    lines: tuple[int, int]
    width: int
    length: int
    box_share: float = 0.0
    boxes: tuple[int, int] = (0, 0)
    sides: tuple[int, int] = (0, 0)
    margin: int = 0


LAMA_SIZE = 256
LAMA_DIRECTIONS = [  # of even lines and of odd ones, which turn the other way
    [(np.sin(angle).item(), np.cos(angle).item()) for angle in sign * (0.01 + np.arange(4))]
    for sign in (-1, 1)
]
LAMA_LARGEST = 0.5  # share of the picture; larger holes are rejected, and another is drawn
THIN = Lama(lines=(4, 50), width=10, length=40)
MEDIUM = Lama((4, 5), 50, 100, box_share=0.3 / 1.3, boxes=(1, 5), sides=(10, 50))
THICK = Lama((1, 5), 100, 200, box_share=0.3 / 1.3, boxes=(1, 3), sides=(30, 150), margin=10)


def lama(kind: Lama, rng: np.random.Generator, size: int, area: float) -> np.ndarray:
    """Draws a hole of one of LaMa's kinds, scaled from 256 to `size`; bool (size, size)."""
    import cv2

    while True:
        draw = _lama_boxes if rng.random() < kind.box_share else _lama_lines
        hole = draw(kind, rng)
        if hole.mean() <= LAMA_LARGEST:
            hole = cv2.resize(hole, (size, size), interpolation=cv2.INTER_AREA) >= 0.5
            if hole.any():
                return hole


def _lama_lines(kind: Lama, rng: np.random.Generator) -> np.ndarray:
    """Draws polylines of one to five strokes each; float32 (256, 256), 1 = hole."""
    import cv2

    hole = np.zeros((LAMA_SIZE, LAMA_SIZE), dtype=np.float32)
    for number in range(rng.integers(*kind.lines, endpoint=True)):
        x, y = rng.integers(LAMA_SIZE, size=2).tolist()
        for _ in range(rng.integers(1, 6)):
            dx, dy = LAMA_DIRECTIONS[number % 2][rng.integers(4)]
            length = int(10 + rng.integers(kind.length))
            end = _inside(x + length * dx), _inside(y + length * dy)
            cv2.line(hole, (x, y), end, 1.0, int(5 + rng.integers(kind.width)))
            x, y = end
    return hole


def _inside(place: float) -> int:
    """Returns a coordinate as a whole number from 0 to LAMA_SIZE."""
    return min(max(int(place), 0), LAMA_SIZE)


def _lama_boxes(kind: Lama, rng: np.random.Generator) -> np.ndarray:
    hole = np.zeros((LAMA_SIZE, LAMA_SIZE), dtype=np.float32)
    for _ in range(rng.integers(*kind.boxes, endpoint=True)):
        width, height = rng.integers(*kind.sides, size=2)
        left = rng.integers(kind.margin, LAMA_SIZE - kind.margin - width + 1)
        top = rng.integers(kind.margin, LAMA_SIZE - kind.margin - height + 1)
        hole[top : top + height, left : left + width] = 1
    return hole


def half(rng: np.random.Generator, size: int, area: float) -> np.ndarray:
    """Returns a hole of the right half (RePaint)."""
    return np.tile(np.arange(size) >= size // 2, (size, 1))


def expand(rng: np.random.Generator, size: int, area: float) -> np.ndarray:
    """Returns a hole of all but the middle, a square a quarter as wide as the picture (RePaint)."""
    hole = np.ones((size, size), dtype=bool)
    first, last = 3 * size // 8, 5 * size // 8
    hole[first:last, first:last] = False
    return hole


def every_second_line(rng: np.random.Generator, size: int, area: float) -> np.ndarray:
    """Returns a hole of every other row (RePaint, "alternating lines")."""
    return np.tile(np.arange(size)[:, None] % 2 == 1, (1, size))


def super_resolution(rng: np.random.Generator, size: int, area: float) -> np.ndarray:
    """Returns a hole of all but one pixel in 2 x 2 (RePaint, "super-resolve 2x")."""
    hole = np.ones((size, size), dtype=bool)
    hole[::2, ::2] = False
    return hole


HOLES: dict[str, Callable[[np.random.Generator, int, float], np.ndarray]] = {
    "box": box,
    "strokes": strokes,
    "mixture": mixture,
    "thin": partial(lama, THIN),
    "medium": partial(lama, MEDIUM),
    "thick": partial(lama, THICK),
    "half": half,
    "expand": expand,
    "every_second_line": every_second_line,
    "super_resolution": super_resolution,
}
PIXEL_PATTERNS = {"every_second_line", "super_resolution"}  # scaled, these would be other holes


def draw_holes(
    count: int, kinds: Sequence[str], area: tuple[float, float], size: int, seed: int
) -> np.ndarray:
    """Draws `count` holes, of each kind in turn; hole i is seeded by (seed, i).

    area: range of the share of the picture, sampled uniformly, for the kinds that have a variable
    area.
    Returns bool (count, size, size), True = to be filled.
    """
    return draw_numbered_holes(range(count), kinds, area, size, seed)


def number_of_its_kind(number: int, kinds: Sequence[str]) -> int:
    """Returns how many of the holes before this one are of its kind; kinds have their turn."""
    turn, place = divmod(number, len(kinds))
    return turn * kinds.count(kinds[place]) + kinds[:place].count(kinds[place])


def draw_numbered_holes(
    numbers: Sequence[int],
    kinds: Sequence[str],
    area: tuple[float, float],
    size: int,
    seed: int,
    sets: Mapping[str, Callable[[int], np.ndarray]] | None = None,
) -> np.ndarray:
    """Draws those of the holes of `draw_holes` that have these numbers.

    sets: further kinds, which are not drawn: each maps 0, 1, 2, ... to its holes, bool (size,
    size), as `MaskSet.hole` does.
    """
    holes = np.empty((len(numbers), size, size), dtype=bool)
    for hole, i in zip(holes, numbers, strict=True):
        kind = kinds[i % len(kinds)]
        if sets and kind in sets:
            hole[:] = sets[kind](number_of_its_kind(i, kinds))
        else:
            rng = np.random.default_rng([seed, i])
            hole[:] = HOLES[kind](rng, size, rng.uniform(*area))
    return holes
