"""Finds for each vector the most similar earlier ones, in time proportional to their number.

Two vectors at an angle t lie on the same side of a random hyperplane with probability 1 - t / pi
(Charikar 2002, "Similarity estimation techniques from rounding algorithms"). The sides of 32 planes
make a key; sorted by it, vectors fall into buckets that share its first bits, as many as make a
bucket small, about log2(N / 512) (Bawa et al. 2005, "LSH forest"). Within a bucket all pairs are
compared, by a matrix product. Several tables of buckets find pairs that one table separates.

All sums are of whole numbers below 2**24, which float32 adds without rounding. So the result is
equal on every machine, for any number of threads and processes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np

LENGTH = 4000  # of the vectors, to the nearest whole numbers; products then stay below 2**24

# Of the pairs of 20,000 drawn cats sixteen tables miss none at a cosine above 0.93, 2 in 1,000 at
# 0.9 and 2 in 100 at 0.85; of 8,555 real ones none above 0.87 and 1 in 1,000 at 0.85. Each vector
# is compared with 11,000 others, however many there are.
_TABLES = 16
_BITS = 32
_BUCKET = 1024  # vectors in a bucket at most
_ROWS = 4096  # vectors read at a time
_TOGETHER = 4  # full buckets compared in one go

Mapper = Callable[[Callable, Iterable[Sequence]], Iterable]


def find_neighbours(
    vectors: Sequence,
    among: np.ndarray,
    mirror: np.ndarray,
    least: float,
    most: int,
    mapper: Mapper = map,
) -> np.ndarray:
    """Returns for each vector up to `most` earlier ones that are alike, or alike when mirrored.

    Args:
        vectors: int16 (N, D) of length LENGTH (or 0, which is like nothing), an array or an object
            that is indexed as one.
        among: bool (N,), the vectors that are compared.
        mirror: int (D,), its own inverse; `vector[mirror]` is the vector of the mirrored picture.
        least: cosine above which two vectors are alike.
        most: how many are kept for each vector.
        mapper: `map`, or a function that uses several processes and yields results in order.

    Returns:
        int32 (N, most), numbers of vectors, the most similar first, -1 where there are no more.
    """
    count = len(vectors)
    found = np.full((count, most), -1, np.int32)
    products = np.zeros((count, most), np.int32)
    compare = partial(_compare, vectors, mirror, least, most)
    for table in range(_TABLES if 2 * count > _BUCKET else 1):
        keys = np.empty((2, count), np.uint32)  # of the vectors and of their mirror images
        blocks = [range(i, min(i + _ROWS, count)) for i in range(0, count, _ROWS)]
        for block, made in zip(
            blocks, mapper(partial(_keys, vectors, mirror, table), blocks), strict=True
        ):
            keys[:, block] = made
        for pairs in mapper(compare, _tasks(keys.ravel(), np.tile(among, 2))):
            _keep(found, products, *pairs)
    return found


def _keys(vectors: Sequence, mirror: np.ndarray, table: int, block: range) -> np.ndarray:
    """Returns the sides of the table's planes on which vectors lie, as bits of uint32 (2, n)."""
    rng = np.random.default_rng(table)
    planes = rng.choice(np.array([-1, 1], np.float32), (len(mirror), _BITS))
    rows = np.asarray(vectors[block.start : block.stop], np.float32)
    sides = np.stack([rows @ planes, rows @ planes[mirror]]) > 0
    return np.packbits(sides, axis=2).view(">u4")[..., 0]


def _tasks(keys: np.ndarray, among: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Yields lists of buckets of about equal work; a bucket holds positions in `keys`."""
    order = np.flatnonzero(among).astype(np.int32)
    order = order[np.argsort(keys[order], kind="stable")]
    task, size = [], 0
    for start, stop in _buckets(keys[order]):
        task.append(order[start:stop])
        size += (stop - start) ** 2
        if size >= _TOGETHER * _BUCKET**2:
            yield task
            task, size = [], 0
    if task:
        yield task


def _buckets(keys: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yields start and stop of buckets of 2 to _BUCKET members in sorted keys."""
    waiting = [(0, len(keys), _BITS)]
    while waiting:
        start, stop, bits = waiting.pop()
        if stop - start > _BUCKET and bits > 0:
            bits -= 1
            middle = start + int(np.searchsorted(keys[start:stop] >> bits & 1, 1))
            waiting += [(middle, stop, bits), (start, middle, bits)]
        else:  # no bits are left: equal keys, which are cut into buckets
            cuts = [(i, min(i + _BUCKET, stop)) for i in range(start, stop, _BUCKET)]
            yield from (cut for cut in cuts if cut[1] - cut[0] > 1)


def _compare(
    vectors: Sequence, mirror: np.ndarray, least: float, most: int, buckets: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns pairs of a vector and an earlier similar one (numbers), and their inner products."""
    found = []
    for members in buckets:
        mirrored, numbers = np.divmod(members, len(vectors))
        rows = np.asarray(vectors[numbers], np.float32)
        sides = np.where(mirrored[:, None], rows[:, mirror], rows)
        plain = np.flatnonzero(mirrored == 0)  # a pair of mirror images is the same pair
        products = (rows[plain] @ sides.T).ravel()
        alike = np.flatnonzero(products > least * LENGTH**2)
        i, j = numbers[plain[alike // len(members)]], numbers[alike % len(members)]
        earlier = j < i
        pairs = i[earlier], j[earlier], products[alike[earlier]].astype(np.int32)
        order, rank = _ranked(*pairs)
        found.append([part[order[rank < most]] for part in pairs])
    return tuple(map(np.concatenate, zip(*found, strict=True)))


def _ranked(i: np.ndarray, j: np.ndarray, product: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorts distinct pairs by i and falling product; returns the order and the ranks within i."""
    order = np.lexsort((-product, j, i))
    new = np.diff(i[order], prepend=-1) | np.diff(j[order], prepend=-1) != 0
    order = order[new]
    order = order[np.lexsort((j[order], -product[order], i[order]))]
    first = np.searchsorted(i[order], i[order])
    return order, np.arange(len(order)) - first


def _keep(
    found: np.ndarray, products: np.ndarray, i: np.ndarray, j: np.ndarray, product: np.ndarray
) -> None:
    """Merges pairs into those found before, and keeps the best."""
    rows, most = np.unique(i), found.shape[1]
    i = np.concatenate([i, rows.repeat(most)])
    j = np.concatenate([j, found[rows].ravel()])
    product = np.concatenate([product, products[rows].ravel()])
    i, j, product = (part[j >= 0] for part in (i, j, product))
    order, rank = _ranked(i, j, product)
    order, rank = order[rank < most], rank[rank < most]
    found[rows], products[rows] = -1, 0
    found[i[order], rank] = j[order]
    products[i[order], rank] = product[order]
