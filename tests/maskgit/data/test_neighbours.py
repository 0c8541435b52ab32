import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskgit.data import neighbours
from maskgit.data.neighbours import LENGTH, find_neighbours

SIZE = 64
MIRROR = np.arange(SIZE).reshape(8, 8)[:, ::-1].ravel()


def lengthened(vectors: np.ndarray) -> np.ndarray:
    return np.rint(vectors * (LENGTH / np.linalg.norm(vectors, axis=1)[:, None])).astype(np.int16)


def drawn(count: int, seed: int, families: int = 10) -> np.ndarray:
    """Vectors in families, whose members are alike, some of them mirrored."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((families, SIZE))[rng.integers(families, size=count)]
    vectors += rng.uniform(0, 0.6, (count, 1)) * rng.standard_normal((count, SIZE))
    mirrored = rng.random(count) < 0.3
    vectors[mirrored] = vectors[mirrored][:, MIRROR]
    return lengthened(vectors)


def all_pairs(vectors: np.ndarray) -> np.ndarray:
    """The larger product of each pair, as they are or one of them mirrored; int (N, N)."""
    rows = vectors.astype(np.int64)
    return np.maximum(rows @ rows.T, rows @ rows[:, MIRROR].T)


def find(vectors: np.ndarray, among: np.ndarray | None = None, least=0.8, most=4, **options):
    among = np.ones(len(vectors), bool) if among is None else among
    return find_neighbours(vectors, among, MIRROR, least, most, **options)


@settings(max_examples=30)
@given(st.integers(0, 60), st.integers(0, 100), st.integers(1, 5), st.floats(0.5, 0.95))
def test_few_vectors_find_all_that_are_like_them(count, seed, most, least):
    vectors = drawn(count, seed)
    among = np.random.default_rng(seed).random(count) < 0.8
    found = find(vectors, among, least, most)
    products = all_pairs(vectors)
    for i in range(count):
        earlier = [j for j in range(i) if among[i] and among[j]]
        alike = [j for j in earlier if products[i, j] > least * LENGTH**2]
        alike = sorted(alike, key=lambda j: (-products[i, j], j))[:most]
        assert found[i].tolist() == alike + [-1] * (most - len(alike))


@pytest.fixture
def small_buckets(monkeypatch):
    monkeypatch.setattr(neighbours, "_BUCKET", 64)


@pytest.mark.parametrize("seed", range(3))
def test_many_vectors_find_nearly_all(small_buckets, seed):
    vectors = drawn(2000, seed, families=400)
    found = find(vectors, most=20)
    alike = np.tril(all_pairs(vectors) > 0.8 * LENGTH**2, -1)
    i, place = np.nonzero(found >= 0)
    j = found[i, place]
    assert alike[i, j].all()
    assert len(set(zip(i, j, strict=True))) == len(i) > 0.95 * alike.sum() > 1000


def test_the_answer_is_the_same_in_whatever_pieces_the_work_is_done(small_buckets, monkeypatch):
    vectors = drawn(1500, seed=0)
    expected = find(vectors)
    monkeypatch.setattr(neighbours, "_ROWS", 100)
    monkeypatch.setattr(neighbours, "_TOGETHER", 1)
    found = find(vectors, mapper=lambda work, blocks: [work(block) for block in blocks])
    assert np.array_equal(expected, found)


def test_a_crowd_in_one_place_is_cut(small_buckets):
    found = find(np.repeat(drawn(1, seed=0), 1000, axis=0))
    assert (found[0] == -1).all()
    assert (found >= 0).any(axis=1).sum() >= 1000 - 2 * 1000 / 64 - 1


def test_what_has_no_direction_is_like_nothing():
    assert (find(np.zeros((5, SIZE), np.int16)) == -1).all()
