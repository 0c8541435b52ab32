"""Which windows of a large picture a hole is filled in, and in which order.

A model draws pictures of one size. The smaller the window that is scaled to it, the more detail the
fill has; but what a window is to fill needs known pixels around it. So a window is as large as the
hole is thick there, times CONTEXT, never smaller than the model's own size, and larger where more
of it would be unknown than in training: dust and scratches get windows at full detail, a long hole
several in a row.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

CONTEXT = 4  # a window's side, in thicknesses of the hole that it is for
UNKNOWN = 0.2  # share of a window; models are trained on holes of a tenth to a quarter
LARGER = 1.25  # a window that has too much of it grows by this
MARGIN = 4  # a window fills what lies further from its edges than its side divided by this


class Window(NamedTuple):
    """A square of the picture, which may reach out of it, and what is filled from it."""

    corner: tuple[int, int]  # row, column
    side: int
    inner: tuple[slice, slice]  # of the picture
    fills: np.ndarray  # bool, of the inner part

    @property
    def within(self) -> tuple[slice, slice]:
        """The inner part, of the window."""
        spans = zip(self.inner, self.corner, strict=True)
        return tuple(slice(span.start - start, span.stop - start) for span, start in spans)

    def overlaps(self, other: "Window") -> bool:
        return all(
            a < b + other.side and b < a + self.side
            for a, b in zip(self.corner, other.corner, strict=True)
        )


def plan_windows(hole: np.ndarray, size: int) -> list[Window]:
    """Windows that fill every hole pixel once, in an order to be kept where they overlap.

    hole: bool (H, W); size: pixels per side that the model draws. Thick parts come first. Parts
    that need no window larger than `size` share windows, for that costs no detail.
    """
    parts, count = ndimage.label(hole, np.ones((3, 3)))
    boxes = ndimage.find_objects(parts)
    sides = np.array([0] + [_side(parts, i, boxes[i - 1], size) for i in range(1, count + 1)])
    native, unknown = _clamped(size, hole.shape), hole.copy()
    windows = []
    for number in np.argsort(-sides[1:], kind="stable") + 1:
        if sides[number] > native:
            windows += _cover(parts == number, unknown, parts, boxes, int(sides[number]))
    return windows + _cover((sides <= native)[parts] & hole, unknown, parts, boxes, native)


def waves(windows: list[Window]) -> list[list[int]]:
    """Their numbers, in groups of windows that do not overlap, each after all that it must wait
    for: a group may be filled at once."""
    wave = []
    for i, window in enumerate(windows):
        earlier = [wave[j] for j in range(i) if window.overlaps(windows[j])]
        wave.append(max(earlier, default=-1) + 1)
    return [
        [i for i, w in enumerate(wave) if w == number]
        for number in range(max(wave, default=-1) + 1)
    ]


def _clamped(side: int, shape: tuple[int, int]) -> int:
    return min(side, max(1, min(shape)))


def _side(parts: np.ndarray, number: int, box: tuple[slice, slice], size: int) -> int:
    """Of the windows that a part of the hole needs, by its thickness: the largest circle in it.

    The picture's edge ends a hole as little as anything unknown does.
    """
    around = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in box)
    inside = parts[around] == number
    extent = max(inside.shape)
    if CONTEXT * extent <= size:  # dust: no need to measure
        return _clamped(size, parts.shape)
    thickness = extent if inside.all() else 2 * ndimage.distance_transform_edt(inside).max() - 1
    return _clamped(max(size, int(np.ceil(CONTEXT * thickness))), parts.shape)


def _cover(
    left: np.ndarray,
    unknown: np.ndarray,
    parts: np.ndarray,
    boxes: list[tuple[slice, slice]],
    least: int,
) -> list[Window]:
    """Windows for all the pixels `left`, from the first row down, with sides of at least `least`.

    What they fill is no longer `unknown`, in place.
    """
    left, windows = left.copy(), []
    for row, column in zip(*np.nonzero(left), strict=True):
        if not left[row, column]:  # an earlier window has it
            continue
        side = least
        while True:
            corner, inner = _place((row, column), left, boxes[parts[row, column] - 1], side)
            whole = tuple(slice(max(0, start), start + side) for start in corner)
            larger = _clamped(int(np.ceil(LARGER * side)), left.shape)
            if larger == side or unknown[whole].mean() <= UNKNOWN:
                break
            side = larger
        windows.append(Window(corner, side, inner, left[inner].copy()))
        unknown[inner] &= ~left[inner]
        left[inner] = False
    return windows


def _place(
    first: tuple[int, int], left: np.ndarray, box: tuple[slice, slice], side: int
) -> tuple[tuple[int, int], tuple[slice, slice]]:
    """Corner of a window that fills the first pixel that is left, and what else it may fill.

    box: around the part of the hole that the pixel belongs to.
    """
    row, column = first
    reach = side // 2 - side // MARGIN  # from a window's middle to what it does not fill
    if max(s.stop - s.start for s in box) <= 2 * reach:  # the part fits: in the middle
        middle = [(s.start + s.stop) // 2 for s in box]
    else:  # from here down, and to the right if nothing is left over to the left
        beside = left[row : row + 2 * reach, max(0, column - reach) : column]
        middle = [row + reach, column + (0 if beside.any() else reach)]
    spans = [
        (_inside(place - side // 2, side, length), length)
        for place, length in zip(middle, left.shape, strict=True)
    ]
    corner = tuple(start for start, _ in spans)
    inner = tuple(_inner(start, side, length) for start, length in spans)
    return corner, inner


def _inside(start: int, side: int, length: int) -> int:
    """The nearest start at which a window lies within the picture, or around it."""
    low, high = sorted((0, length - side))
    return int(min(max(start, low), high))


def _inner(start: int, side: int, length: int) -> slice:
    """What a window may fill of a row or column: not its margin, unless the picture ends there."""
    margin = side // MARGIN
    first = 0 if start <= 0 else start + margin
    last = length if start + side >= length else start + side - margin
    return slice(first, last)
