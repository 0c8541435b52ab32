"""Holes from sets of mask files: scaled to the picture, split by content, used in turn by area.

Such sets are the irregular masks of Liu et al. (2018, arXiv 1804.07723), or scans of real damage.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

import numpy as np

from maskgit.data.holes import stretched
from maskgit.data.splits import assign_splits

# Buckets of the share of the picture, each with its upper end, as Liu et al. and others print them.
AREAS = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1)
SYMMETRIES = 8  # of a square: four turns, each mirrored or not
VALIDATION, TEST = 0.1, 0.25  # shares of the masks: of those that are not tested, and of all


def fit_mask(hole: np.ndarray, size: int) -> np.ndarray:
    """Returns the middle square of a hole, bool (H, W), scaled by `stretched`."""
    height, width = hole.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return stretched(hole[top : top + side, left : left + side], (size, size))


def turned(hole: np.ndarray, symmetry: int) -> np.ndarray:
    """Returns a hole, bool (size, size), turned and mirrored; symmetry: 0 (as it is) to 7."""
    return np.rot90(hole if symmetry < 4 else hole.T, symmetry)


def shape_digest(hole: np.ndarray) -> bytes:
    """Returns a sha256 of a hole, bool (size, size), that turning and mirroring do not change."""
    return sha256(min(np.packbits(turned(hole, k)).tobytes() for k in range(SYMMETRIES))).digest()


def split_masks(digests: np.ndarray, seed: int) -> np.ndarray:
    """Returns the split of each mask, as `assign_splits` does for images: (N,) of names.

    digests: uint8 (N, 32), of the files' bytes, all different. An added mask moves others as an
    added image does.
    Raises ValueError where there are too few.
    """
    return assign_splits(digests, VALIDATION, TEST, seed)


def in_turn(areas: np.ndarray, seed: int) -> np.ndarray:
    """Returns the order in which masks are used, int (N,): one of each bucket of AREAS in turn.

    Within a bucket the order is random. A bucket whose masks are used up is passed over, so each
    mask is used once. areas: (N,), shares of the picture.
    """
    order = np.random.default_rng(seed).permutation(len(areas))
    buckets = np.searchsorted(AREAS, areas[order])  # the upper end belongs to a bucket
    rounds = np.empty(len(areas), int)
    for bucket in np.unique(buckets):
        members = buckets == bucket
        rounds[members] = np.arange(members.sum())
    return order[np.lexsort((buckets, rounds))]


class MaskSet(NamedTuple):
    """The masks of a split as holes. holes: bool (M, size, size); order: (N,), see `in_turn`."""

    holes: Sequence[np.ndarray]
    order: np.ndarray

    def row(self, number: int) -> int:
        """Returns the row in `holes` of the mask that hole `number` is made of."""
        return int(self.order[number % len(self.order)])

    def hole(self, number: int) -> np.ndarray:
        """Returns hole `number`, bool (size, size); a mask that is used again is turned."""
        return turned(self.holes[self.row(number)], number // len(self.order) % SYMMETRIES)
