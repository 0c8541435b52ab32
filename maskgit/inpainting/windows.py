"""Plans the windows of a large picture in which a hole is filled, and their order.

A model fills pictures of one size. The smaller a window that is scaled to it, the more detail its
fill has, but the hole needs known pixels around it. So a window is at least CONTEXT times as wide
as the hole is thick there, and at least as wide as the model's pictures. It is larger where more of
it would be unknown than in training, as long as the model then sees more. Dust and scratches get
windows at full detail. A long hole gets several windows in a row.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

CONTEXT = 2  # least side of a window divided by the thickness of its hole
UNKNOWN = 0.2  # largest unknown share of a window; models are trained on a tenth to a quarter
LARGER = 1.25  # factor by which a window with a larger unknown share grows
FLIPS = (1, 1), (1, -1), (-1, 1), (-1, -1)  # steps down and across: from which corner to begin
MARGIN = 4  # a window fills pixels that are further from its edges than its side divided by this


class Window(NamedTuple):
    """A square of the picture, and the hole pixels that are filled from it."""

    corner: tuple[int, int]  # row, column
    side: int
    inner: tuple[slice, slice]  # of the picture, around the pixels that are filled
    fills: np.ndarray  # bool, of the inner part

    @property
    def whole(self) -> tuple[slice, slice]:
        """The whole window, as slices of the picture."""
        return square(self.corner, self.side)

    @property
    def within(self) -> tuple[slice, slice]:
        """The part that is pasted, as slices of the window."""
        spans = zip(self.inner, self.corner, strict=True)
        return tuple(slice(span.start - start, span.stop - start) for span, start in spans)

    def paste(self, image: np.ndarray, patch: np.ndarray) -> None:
        """Copies the pixels that are filled from a patch of this window into the picture, in place.

        image: (H, W, C); patch: (side, side, C).
        """
        part = patch[self.within]
        image[self.inner] = np.where(self.fills[..., None], part, image[self.inner])


def square(corner: tuple[int, int], side: int) -> tuple[slice, slice]:
    """Returns the slices of a picture that cut out a square."""
    return tuple(slice(start, start + side) for start in corner)


def plan_windows(hole: np.ndarray, size: int) -> list[Window]:
    """Returns windows that fill every hole pixel once, in the order of filling where they overlap.

    hole: bool (H, W); size: pixels per side that the model draws. Thick parts come first. Parts
    that need no window larger than `size` share windows, which costs no detail.
    """
    parts, count = ndimage.label(hole, np.ones((3, 3)))
    boxes = ndimage.find_objects(parts)
    sides = np.array([0] + [_side(parts, i, boxes[i - 1], size) for i in range(1, count + 1)])
    native, unknown, left = _clamped(size, hole.shape), hole.copy(), np.zeros_like(hole)
    windows = []
    for number in np.argsort(-sides[1:], kind="stable") + 1:
        if sides[number] > native:
            box = boxes[number - 1]
            left[box] = parts[box] == number
            windows += _cover(left, box, unknown, parts, boxes, int(sides[number]), size)
    left = (sides <= native)[parts] & hole
    return windows + _cover(left, np.s_[:, :], unknown, parts, boxes, native, size)


def plan_finer(hole: np.ndarray, windows: list[Window], size: int) -> Iterator[list[Window]]:
    """Yields the windows in which a fill is drawn again with more detail, pass by pass.

    In each pass windows have half of the side, and at least `size`. They cover what larger windows
    have filled. windows: of `plan_windows` for this hole, bool (H, W), and size.
    """
    side = max((window.side for window in windows), default=0)
    if side <= size:
        return
    sides = np.zeros(hole.shape, dtype=np.int32)  # of the windows that filled each pixel last
    for window in windows:
        sides[window.inner][window.fills] = window.side
    box = ndimage.find_objects(hole.astype(np.uint8))[0]  # most pictures are mostly known
    while side > size:
        side = max(size, -(-side // 2))
        left, parts = np.zeros_like(hole), np.zeros(hole.shape, dtype=np.int32)
        left[box] = sides[box] > side
        sides[left] = side
        ndimage.label(left[box], np.ones((3, 3)), output=parts[box])
        boxes = ndimage.find_objects(parts)
        yield _cover(left, box, np.zeros_like(left), parts, boxes, side, size)


def waves(windows: list[Window]) -> list[list[int]]:
    """Groups the windows, by number, so that those of a group may be filled at once.

    The windows of a group do not overlap, and each comes after all earlier ones that it overlaps.
    """
    groups: list[list[int]] = []
    size = [max((w.corner[axis] + w.side for w in windows), default=0) for axis in (0, 1)]
    following = np.zeros(size, dtype=np.int32)  # the group that may next cover a pixel
    for i, window in enumerate(windows):
        number = following[window.whole].max()
        following[window.whole] = number + 1
        if number == len(groups):
            groups.append([])
        groups[number].append(i)
    return groups


def shrink_hole(unknown: np.ndarray, size: int) -> np.ndarray:
    """Scales a window's unknown pixels, bool (side, side), to bool (size, size).

    A pixel is unknown where its area has an unknown pixel.
    """
    share = Image.fromarray(unknown.astype(np.float32)).resize((size, size), Image.Resampling.BOX)
    return np.asarray(share) > 0


def _clamped(side: int, shape: tuple[int, int]) -> int:
    return min(side, max(1, min(shape)))


def _side(parts: np.ndarray, number: int, box: tuple[slice, slice], size: int) -> int:
    """Returns the side of the windows that a part of the hole needs.

    It follows from the part's thickness, the diameter of the largest circle in it. A hole at the
    picture's edge counts as going on beyond it.
    """
    around = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in box)
    inside = parts[around] == number
    extent = max(inside.shape)
    if CONTEXT * extent <= size:  # so small that the smallest window is enough
        return _clamped(size, parts.shape)
    thickness = extent if inside.all() else 2 * ndimage.distance_transform_edt(inside).max() - 1
    return _clamped(max(size, int(np.ceil(CONTEXT * thickness))), parts.shape)


def _cover(
    left: np.ndarray,
    box: tuple[slice, slice],
    unknown: np.ndarray,
    parts: np.ndarray,
    boxes: list[tuple[slice, slice]],
    least: int,
    size: int,
) -> list[Window]:
    """Returns windows for the pixels that are `left`, from the first row down.

    Where a window would then see nothing known, as in a picture that is continued to the left or to
    the top, they begin at the corner that leaves the fewest such windows.

    box: where these pixels lie; least: the smallest side of a window; size: what the model draws.
    Both masks are changed in place: no pixel is `left` afterwards, and what the windows fill is no
    longer `unknown`.
    """
    plans = []
    for flip in FLIPS:
        views = [each[:: flip[0], :: flip[1]] for each in (left, unknown, parts)]
        flipped = partial(_flipped_box, shape=left.shape, flip=flip)
        windows, blind = _cover_from_first_row(*views, box, boxes, flipped, least, size)
        plans.append((blind, [_flipped(window, left.shape, flip) for window in windows]))
        if blind == 0:
            return plans[-1][1]
        for window in windows:  # as before this plan
            views[0][window.inner] |= window.fills
            views[1][window.inner] |= window.fills
    _, windows = min(plans, key=lambda plan: plan[0])
    for window in windows:
        unknown[window.inner] &= ~window.fills
        left[window.inner] = False
    return windows


def _flipped_box(
    box: tuple[slice, slice], shape: tuple[int, ...], flip: tuple[int, int]
) -> tuple[slice, slice]:
    """Returns the place of a part of a picture after the picture is mirrored."""
    spans = [span.indices(length)[:2] for span, length in zip(box, shape, strict=True)]
    return tuple(
        slice(start, stop) if step > 0 else slice(length - stop, length - start)
        for (start, stop), length, step in zip(spans, shape, flip, strict=True)
    )


def _flipped(window: Window, shape: tuple[int, ...], flip: tuple[int, int]) -> Window:
    """Returns a window of a mirrored picture as one of the picture."""
    rows, columns = _flipped_box(window.whole, shape, flip)
    inner = _flipped_box(window.inner, shape, flip)
    fills = window.fills[:: flip[0], :: flip[1]]
    return Window((rows.start, columns.start), window.side, inner, fills)


def _cover_from_first_row(
    left: np.ndarray,
    unknown: np.ndarray,
    parts: np.ndarray,
    box: tuple[slice, slice],
    boxes: list[tuple[slice, slice]],
    flipped: Callable[[tuple[slice, slice]], tuple[slice, slice]],
    least: int,
    size: int,
) -> tuple[list[Window], int]:
    """Returns the windows of `_cover` from the first row down, and how many see nothing known.

    The arrays may be mirrored; `flipped` then makes a box one of theirs.
    """
    windows, blind = [], 0
    for first in _each_first(left, flipped(box)):
        part = flipped(boxes[parts[first] - 1])
        corner, inner, side = _grow(first, left, unknown, part, least, size)
        blind += bool(unknown[square(corner, side)].all())
        windows.append(Window(corner, side, inner, left[inner].copy()))
        unknown[inner] &= ~left[inner]
        left[inner] = False
    return windows, blind


def _each_first(left: np.ndarray, box: tuple[slice, slice]) -> Iterator[tuple[int, int]]:
    """Yields the first pixel in a box that is still `left`, row by row, until there is none."""
    rows, columns = (range(*span.indices(n)) for span, n in zip(box, left.shape, strict=True))
    for row in rows:
        line = left[row, columns.start : columns.stop]
        while line.any():
            yield row, columns.start + int(line.argmax())


def _grow(
    first: tuple[int, int],
    left: np.ndarray,
    unknown: np.ndarray,
    part: tuple[slice, slice],
    least: int,
    size: int,
) -> tuple[tuple[int, int], tuple[slice, slice], int]:
    """Returns the corner of a window that fills a pixel, what it may fill, and its side.

    The window grows until no more of it is unknown than in training, or it is as large as can be.
    If a smaller one shows the model more, that one is taken. Many thin lines are such a case: in a
    copy at a smaller scale a pixel is unknown as a whole where a part of it is.
    """
    tried, side = [], least
    while True:
        corner, inner = _place(first, left, part, side)
        seen = unknown[square(corner, side)]
        hidden = float(shrink_hole(seen, size).mean())
        tried.append((hidden, -len(tried), (corner, inner, side)))
        larger = _clamped(int(np.ceil(LARGER * side)), left.shape)
        if larger == side or seen.mean() <= UNKNOWN:
            return min(tried)[-1]  # of equal ones the largest
        side = larger


def _place(
    first: tuple[int, int], left: np.ndarray, box: tuple[slice, slice], side: int
) -> tuple[tuple[int, int], tuple[slice, slice]]:
    """Returns the corner of a window that fills the first pixel left, and what else it may fill.

    box: around the part of the hole that the pixel belongs to.
    """
    row, column = map(int, first)
    reach = side // 2 - side // MARGIN  # from a window's middle to what it does not fill
    if max(s.stop - s.start for s in box) <= 2 * reach:  # the part fits: in the middle
        middle = [(s.start + s.stop) // 2 for s in box]
    else:  # from here down, and to the right if nothing is left over to the left
        beside = left[row : row + 2 * reach, max(0, column - reach) : column]
        middle = [row + reach, column + (0 if beside.any() else reach)]
    corner = tuple(
        min(max(0, place - side // 2), length - side)  # the nearest place within the picture
        for place, length in zip(middle, left.shape, strict=True)
    )
    inner = tuple(
        _inner(start, side, length) for start, length in zip(corner, left.shape, strict=True)
    )
    return corner, inner


def _inner(start: int, side: int, length: int) -> slice:
    """Returns what a window may fill of an axis: not its margin, unless the picture ends there."""
    margin = side // MARGIN
    first = 0 if start == 0 else start + margin
    last = length if start + side == length else start + side - margin
    return slice(first, last)
