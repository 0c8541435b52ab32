"""Finds copies in a set of pictures: equal files, equal pixels, and near copies.

A copy of a training image in the test split leaks the answer. Near copies do so too: re-compressed,
resized, shifted by two or three hundredths of the side, mirrored, or with other brightness,
contrast or colour. Copies that are cropped closer or rotated are not found.

Pictures of one kind, such as aligned faces, agree in their coarse luminance and differ in detail.
So both steps compare luminance after subtracting its local mean and normalising its local contrast.
The first step compares each picture at 16 x 16 with those that `neighbours` finds in the same
buckets. The second compares the few that agree at 64 x 64, with small shifts allowed.
"""

from collections.abc import Sequence
from functools import cache, partial
from hashlib import sha256
from typing import NamedTuple

import cv2
import numpy as np

from maskgit.data.neighbours import LENGTH, Mapper, find_neighbours

# Agreement of detail, at most 1, from which two pictures are near copies. Chosen by eye on 14,505
# aligned cat faces, 5,950 of them exact copies: the 97 pairs above 0.82 (93 near copies) are one
# photograph or frames of one burst; below 0.80 there are different cats. Among 4,000 drawn cats it
# finds no copies, at 0.80 five. Faces at JPEG quality 30, resized, blurred or mirrored agree with
# themselves by more than 0.9.
NEAR_COPY = 0.82
EXACT_ONLY = 2.0  # more than any pictures agree by

# Pairs below it at 16 x 16 are not compared at 64 x 64. Of the 37 million pairs of those faces
# 5,000 are above it, and with them 97 of the 98 near copies.
_CANDIDATE = 0.85
# Each picture is compared at 64 x 64 with at most so many others, which limits the time where all
# are alike. Of those faces one in a hundred has as many; with 4, one near copy is missed.
_MOST = 8
_COARSE, _FINE = 16, 64
# Positions in a mirrored grid.
_MIRROR = np.arange(_COARSE**2).reshape(_COARSE, _COARSE)[:, ::-1].ravel()
_SHIFT = 6  # cells of the fine grid, a tenth of the picture
_NOISE = 3.0  # contrast of compression artefacts, in grey levels
_PLAIN = 0.1  # detail below it comes from rounding to whole grey levels
_ROWS = 128  # pictures compared in one go


class Prints(NamedTuple):
    """Hashes and coarse detail of pictures, which are compared before their pixels.

    Attributes:
        files: uint8 (N, 32); sha256 of the files' bytes.
        pixels: uint8 (N, 32); sha256 of the pixels.
        coarse: int16 (N, 256); detail at 16 x 16 as vectors of length 4000, zeros where there is
            none. 512 bytes a picture, so they may lie on disk: see `find_copies`.
    """

    files: np.ndarray
    pixels: np.ndarray
    coarse: Sequence


class Copies(NamedTuple):
    """The original of each picture, and whether it is an exact copy of it.

    Attributes:
        original: int64 (N,); the earliest picture that picture i is a copy of, i where it is none.
        exact: bool (N,); True where an earlier picture has the same file or the same pixels.
    """

    original: np.ndarray
    exact: np.ndarray


def take_print(image: np.ndarray) -> tuple[bytes, np.ndarray]:
    """Returns the rows of `Prints.pixels` and `Prints.coarse` of an image, uint8 RGB (H, W, 3)."""
    grid = _detail(image, _COARSE)
    coarse = np.zeros(_COARSE**2, np.int16)
    if grid.std() > _PLAIN:
        grid -= grid.mean()
        coarse[:] = np.rint(grid.ravel() * (LENGTH / np.linalg.norm(grid)))
    return sha256(image.tobytes()).digest(), coarse


def find_copies(
    images: Sequence[np.ndarray],
    prints: Prints,
    threshold: float = NEAR_COPY,
    mapper: Mapper = map,
) -> Copies:
    """Finds exact and near copies.

    Every near copy is compared with its original directly, so that similarity does not chain. Among
    the pairs compared, no two originals are near copies of each other. A picture without detail
    (flat, or a soft gradient) has exact copies only.

    Args:
        images: N pictures, uint8 RGB (H, W, 3). Their order decides which of a group is the
            original; where two copies of it are unlike each other, also how many are found.
        prints: of the same pictures.
        threshold: agreement from which two pictures are near copies; above 1 finds exact ones only.
        mapper: `map`, or a function that uses several processes and yields results in order;
            `images` and `prints.coarse` are then pickled with each piece of work.

    Raises:
        ValueError: the numbers of images and prints differ.
    """
    if not len(images) == len(prints.files) == len(prints.pixels) == len(prints.coarse):
        raise ValueError(f"{len(images)} images but {len(prints.files)} prints")
    original = _exact_originals(prints)
    exact = original != np.arange(len(images))
    if threshold > 1:
        return Copies(original, exact)
    like = find_neighbours(prints.coarse, ~exact, _MIRROR, _CANDIDATE, _MOST, mapper)
    near = _near_originals(images, prints.coarse, like, threshold, mapper)
    return Copies(near[original], exact)


def _exact_originals(prints: Prints) -> np.ndarray:
    original = np.arange(len(prints.files))
    first = np.stack([_first_alike(prints.files), _first_alike(prints.pixels)])
    for i in np.flatnonzero((first < original).any(axis=0)):
        original[i] = original[first[:, i]].min()
    return original


def _first_alike(digests: np.ndarray) -> np.ndarray:
    """Returns the first row with the same first half as row i, int (N,); digests: uint8 (N, 32)."""
    keys = np.ascontiguousarray(digests[:, :16]).view("V16").ravel()
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    return first[place]


def _near_originals(
    images: Sequence[np.ndarray],
    coarse: Sequence,
    like: np.ndarray,
    threshold: float,
    mapper: Mapper,
) -> np.ndarray:
    original = np.arange(len(images))
    rows = np.flatnonzero(like[:, 0] >= 0)
    blocks = [rows[i : i + _ROWS] for i in range(0, len(rows), _ROWS)]
    pairs = (np.column_stack([block, like[block]]) for block in blocks)
    agreements = mapper(partial(_agreements, images), pairs)
    for block, agreed in zip(blocks, agreements, strict=True):
        for i, agreement in zip(block, agreed, strict=True):
            known = dict(zip(like[i].tolist(), agreement.tolist(), strict=True))
            known.pop(-1, None)
            for j in sorted({original[j] for j in known}):  # originals in place of copies
                if j not in known and not _alike_coarsely(coarse[i], coarse[j]):
                    continue
                if j not in known:
                    known[j] = _agreements(images, np.array([[i, j]]))[0, 0]
                if known[j] >= threshold:
                    original[i] = j
                    break
    return original


def _alike_coarsely(a: np.ndarray, b: np.ndarray) -> bool:
    """Returns whether two coarse vectors are alike, or when mirrored, as in `find_neighbours`."""
    views = np.stack([b, b[_MIRROR]]).astype(np.int64)
    return (views @ a).max() > _CANDIDATE * LENGTH**2


def _agreements(images: Sequence[np.ndarray], pairs: np.ndarray) -> np.ndarray:
    """Returns the agreement of the first picture of each row with the others, float (n, m).

    pairs: int (n, 1 + m), -1 where there is no picture.
    """
    fine = cache(lambda i: _fine_detail(images[i]))
    agreements = np.zeros((len(pairs), pairs.shape[1] - 1))
    for agreement, (i, *others) in zip(agreements, pairs.tolist(), strict=True):
        for k, j in enumerate(others):
            if j >= 0 and fine(i) is not None and fine(j) is not None:
                agreement[k] = _agreement(fine(i), fine(j))
    return agreements


def _fine_detail(image: np.ndarray) -> np.ndarray | None:
    """Returns the detail at 64 x 64; None where the middle, which is compared, has none."""
    detail = _detail(image, _FINE)
    return detail if _centre(detail).std() > _PLAIN else None


def _detail(image: np.ndarray, size: int) -> np.ndarray:
    """Returns luminance on a size x size grid, less its local mean, of local contrast near 1."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    grid = cv2.resize(grey, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
    detail = cv2.GaussianBlur(grid, (0, 0), 1) - cv2.GaussianBlur(grid, (0, 0), 3)
    contrast = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), 5))
    return detail / (contrast + _NOISE)


def _agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the highest correlation of the centre of `a` with `b`, shifted or mirrored."""
    centre = _centre(a)
    views = (b, np.ascontiguousarray(b[:, ::-1]))
    return max(float(cv2.matchTemplate(v, centre, cv2.TM_CCOEFF_NORMED).max()) for v in views)


def _centre(detail: np.ndarray) -> np.ndarray:
    return detail[_SHIFT:-_SHIFT, _SHIFT:-_SHIFT]
