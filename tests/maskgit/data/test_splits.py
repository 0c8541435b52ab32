from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskgit.data.splits import SPLITS, assign_splits


def digests(count: int, first: int = 0) -> np.ndarray:
    hashes = b"".join(sha256(b"%d" % (first + i)).digest() for i in range(count))
    return np.frombuffer(hashes, np.uint8).reshape(count, 32)


COUNTS, FIRSTS, SEEDS = st.integers(200, 2000), st.integers(0, 10**6), st.integers(0, 2**32)
VALIDATIONS, SHARES, NUMBERS = st.floats(0.05, 0.2), st.floats(0.05, 0.25), st.integers(1, 30)


@given(COUNTS, FIRSTS, VALIDATIONS, SHARES | NUMBERS, SEEDS)
def test_every_image_has_one_split_and_the_shares_are_kept(count, first, validation, test, seed):
    splits = assign_splits(digests(count, first), validation, test, seed)
    trains, validations, tests = ((splits == name).sum() for name in SPLITS)
    assert trains + validations + tests == count and min(trains, validations, tests) >= 1

    def is_likely(hits, draws, share):
        return abs(hits - draws * share) < 1 + 5 * np.sqrt(draws * share * (1 - share))

    assert tests == test if isinstance(test, int) else is_likely(tests, count, test)
    assert is_likely(validations, count - tests, validation)


@given(COUNTS, FIRSTS, VALIDATIONS, SHARES | NUMBERS, SEEDS)
def test_an_added_image_moves_no_other(count, first, validation, test, seed):
    names = digests(count + 1, first)
    before = assign_splits(names[:-1], validation, test, seed)
    after = assign_splits(names, validation, test, seed)
    moved = before != after[:-1]
    if isinstance(test, int) and after[-1] == "test":
        assert moved.sum() == 1 and before[moved] == "test"
    else:
        assert not moved.any()


@given(COUNTS, FIRSTS, VALIDATIONS, SHARES | NUMBERS, SEEDS)
def test_the_order_of_the_images_does_not_matter(count, first, validation, test, seed):
    order, names = np.random.default_rng(seed).permutation(count), digests(count, first)
    splits = assign_splits(names, validation, test, seed)
    assert np.array_equal(assign_splits(names[order], validation, test, seed), splits[order])


@given(COUNTS, VALIDATIONS, SHARES | NUMBERS, SEEDS)
def test_the_seed_alone_makes_other_splits(count, validation, test, seed):
    splits, again, other = (
        assign_splits(digests(count), validation, test, s) for s in (seed, seed, seed + 1)
    )
    assert np.array_equal(splits, again) and not np.array_equal(splits, other)


def test_one_image_is_validated_at_least():
    splits = assign_splits(digests(20), 1e-9, 4, 0)
    assert [(splits == name).sum() for name in SPLITS] == [15, 1, 4]


@pytest.mark.parametrize(("count", "test"), [(3, 2), (10, 9), (10, 20), (10, 1e-9), (0, 1)])
def test_too_few_images(count, test):
    with pytest.raises(ValueError, match="too few"):
        assign_splits(digests(count), 0.06, test, 0)
