"""Copies in a set of pictures: the same file, the same pixels, or nearly the same picture.

A copy that stands in both the training and the test split leaks the answer. So near copies count
too: re-compressed, resized, shifted by two or three hundredths of the side, with other brightness,
contrast or colour, and mirrored, as training mirrors pictures. Not found are copies cropped closer
or turned.

Pictures taken alike (aligned faces) all agree in their coarse luminance. What tells them apart is
the detail, so both steps compare luminance with its local mean taken off and its local contrast
evened out: first every pair at 16 x 16 by matrix products, then the few that agree at 64 x 64 with
small shifts allowed.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

import cv2
import numpy as np

# Agreement of detail, at most 1, from which two pictures are near copies. Chosen by eye on 14,505
# aligned cat faces, 5,950 of them exact copies: the 97 pairs above 0.82 (93 near copies) are one
# photograph or frames of one burst; below 0.80 different cats begin. Of 4,000 drawn cats none is
# taken for another, at 0.80 five are. Faces at JPEG quality 30, resized, blurred or mirrored agree
# with themselves by more than 0.9.
NEAR_COPY = 0.82

# Pairs below it at 16 x 16 are not looked at again. Of the 37 million pairs of those faces 5,000
# are above it, and with them 97 of the 98 near copies.
_CANDIDATE = 0.85
_COARSE, _FINE = 16, 64
_SHIFT = 6  # cells of the fine grid, a tenth of the picture
_NOISE = 3.0  # grey levels of contrast that compression makes up
_PLAIN = 0.1  # detail below it is the rounding to whole grey levels
_ROWS = 128  # pictures compared with all others at once; bounds the memory


class Selection(Sequence):
    """Some of a sequence's items, in an order of one's own; none is copied before it is asked for.

    items: any sequence, such as a memory map with a picture in each row. rows: int (N,).
    """

    def __init__(self, items: Sequence, rows: np.ndarray):
        self.items, self.rows = items, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> np.ndarray:
        return self.items[self.rows[i]]


class Copies(NamedTuple):
    """Which picture each picture repeats.

    Attributes:
        original: int64 (N,); the earliest picture that picture i is a copy of, i where it is none.
        exact: bool (N,); True where an earlier picture has the same file or the same pixels.
    """

    original: np.ndarray
    exact: np.ndarray


def find_copies(
    images: Sequence[np.ndarray], digests: Sequence[str], threshold: float = NEAR_COPY
) -> Copies:
    """Find exact and near copies.

    Every near copy was compared with its original itself, so likeness does not run along chains,
    and no two originals are near copies of each other. A picture without detail (flat, or a soft
    gradient) has exact copies only.

    Args:
        images: N pictures, uint8 RGB (H, W, 3), each looked at by itself. Order matters only for
            which of a group is the original.
        digests: N digests of the files' bytes.
        threshold: agreement from which two pictures are near copies; above 1 finds exact ones only.

    Raises:
        ValueError: as many digests as images are needed.
    """
    if len(images) != len(digests):
        raise ValueError(f"{len(images)} images but {len(digests)} digests")
    original = _exact_originals(images, digests)
    exact = original != np.arange(len(images))
    distinct = np.flatnonzero(~exact)
    near = np.arange(len(images))
    near[distinct] = distinct[_near_originals(Selection(images, distinct), threshold)]
    return Copies(near[original], exact)


def _exact_originals(images: Sequence[np.ndarray], digests: Sequence[str]) -> np.ndarray:
    original = np.arange(len(images))
    first: dict[str | bytes, int] = {}  # by digest of the file (str) and of the pixels (bytes)
    for i, (digest, image) in enumerate(zip(digests, images, strict=True)):
        keys = (digest, sha256(image.tobytes()).digest())
        original[i] = min(first.get(key, i) for key in keys)
        for key in keys:
            first.setdefault(key, original[i])
    return original


def _near_originals(images: Sequence[np.ndarray], threshold: float) -> np.ndarray:
    original = np.arange(len(images))
    coarse, mirrored = _coarse_vectors(images)
    fine = lru_cache(maxsize=4096)(lambda i: _detail(images[i], _FINE))
    for start in range(0, len(images), _ROWS):
        rows = coarse[start : start + _ROWS]
        stop = start + len(rows)
        likeness = np.maximum(rows @ coarse[:stop].T, rows @ mirrored[:stop].T)
        earlier = np.tril(likeness > _CANDIDATE, start - 1)
        for row, j in np.argwhere(earlier):
            i = start + row
            undecided = original[i] == i and original[j] == j
            if undecided and _agreement(fine(i), fine(j)) >= threshold:
                original[i] = j
    return original


def _coarse_vectors(images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (N, 256) of the pictures and of their mirror images, float32."""
    coarse = np.zeros((len(images), _COARSE, _COARSE), np.float32)
    for i, image in enumerate(images):
        grid = _detail(image, _COARSE)
        if min(grid.std(), _centre(_detail(image, _FINE)).std()) > _PLAIN:
            grid -= grid.mean()
            coarse[i] = grid / np.linalg.norm(grid)  # else it stays zero, which is like nothing
    flat = (len(images), _COARSE * _COARSE)
    return coarse.reshape(flat), coarse[:, :, ::-1].reshape(flat)


def _detail(image: np.ndarray, size: int) -> np.ndarray:
    """Luminance on a size x size grid, local mean taken off, local contrast near 1."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    grid = cv2.resize(grey, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
    detail = cv2.GaussianBlur(grid, (0, 0), 1) - cv2.GaussianBlur(grid, (0, 0), 3)
    contrast = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), 5))
    return detail / (contrast + _NOISE)


def _agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Highest correlation of the centre of `a` with `b` or its mirror image, over small shifts."""
    centre = _centre(a)
    views = (b, np.ascontiguousarray(b[:, ::-1]))
    return max(float(cv2.matchTemplate(v, centre, cv2.TM_CCOEFF_NORMED).max()) for v in views)


def _centre(detail: np.ndarray) -> np.ndarray:
    return detail[_SHIFT:-_SHIFT, _SHIFT:-_SHIFT]
