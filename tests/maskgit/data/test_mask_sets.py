"""Masks from files fit the picture, keep to their split and have their turn by area."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskgit.data.holes import draw_holes, draw_numbered_holes, stretched
from maskgit.data.mask_sets import (
    AREAS,
    SYMMETRIES,
    MaskSet,
    fit_mask,
    in_turn,
    shape_digest,
    split_masks,
    turned,
)

HOLES = arrays(bool, (12, 12))
SHARES = st.lists(st.floats(0.001, 0.999), min_size=1, max_size=60).map(np.array)


@given(st.integers(4, 70), st.integers(1, 40), st.integers(1, 40), st.data())
def test_every_pixel_that_the_middle_square_of_a_mask_touches_is_hole(size, height, width, data):
    mask = data.draw(arrays(bool, (height, width)))
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square, fitted = mask[top : top + side, left : left + side], fit_mask(mask, size)
    assert fitted.shape == (size, size) and fitted.dtype == bool
    assert fitted.any() == square.any() and fitted.all() >= square.all()
    if side >= size:
        for y, x in np.argwhere(square):  # the pixel that holds the middle of this one
            assert fitted[int((y + 0.5) * size / side), int((x + 0.5) * size / side)]


@given(arrays(bool, (16, 16)))
def test_a_mask_of_the_pictures_size_stays_as_it_is(mask):
    assert np.array_equal(fit_mask(mask, 16), mask)


@given(st.tuples(*[st.integers(1, 40)] * 4), st.data())
def test_a_stretched_mask_has_a_hole_wherever_the_mask_has_one_and_nowhere_else(sizes, data):
    (height, width, *shape) = sizes
    mask = data.draw(arrays(bool, (height, width)))
    found = stretched(mask, tuple(shape))
    assert found.shape == tuple(shape) and found.dtype == bool
    for y, x in np.ndindex(*shape):
        rows = mask[y * height // shape[0] : -(-(y + 1) * height // shape[0])]
        assert found[y, x] <= rows[:, x * width // shape[1] : -(-(x + 1) * width // shape[1])].any()
    for y, x in np.argwhere(mask):
        ends = [int(y * shape[0] / height), -int(-(y + 1) * shape[0] // height)]
        across = [int(x * shape[1] / width), -int(-(x + 1) * shape[1] // width)]
        assert found[slice(*ends), slice(*across)].any()


def test_a_hair_one_pixel_wide_stays_whole():
    mask = np.zeros((400, 400), bool)
    mask[:, 200] = True
    assert fit_mask(mask, 64).any(axis=1).all()


@given(HOLES)
def test_a_mask_turned_or_mirrored_has_the_same_digest(hole):
    copies = [turned(hole, k) for k in range(SYMMETRIES)]
    assert len({shape_digest(copy) for copy in copies}) == 1
    assert shape_digest(~hole) != shape_digest(hole)


def test_the_symmetries_are_all_different():
    hole = np.arange(16).reshape(4, 4)
    assert len({turned(hole, k).tobytes() for k in range(SYMMETRIES)}) == SYMMETRIES


@given(SHARES, st.integers(0, 9))
def test_each_mask_has_its_turn_once_before_any_is_used_again(areas, seed):
    assert sorted(in_turn(areas, seed)) == list(range(len(areas)))


@given(SHARES, st.integers(0, 9))
def test_no_bucket_is_used_twice_more_than_another_that_has_masks_left(areas, seed):
    buckets = np.searchsorted(AREAS, areas)
    total, used = Counter(buckets), Counter()
    for mask in in_turn(areas, seed):
        assert all(used[buckets[mask]] <= used[b] for b in total if used[b] < total[b])
        used[buckets[mask]] += 1


def test_a_mask_that_is_used_again_is_turned():
    holes = np.zeros((1, 3, 3), bool)
    holes[0, 0, 1:] = True
    masks = MaskSet(holes, np.array([0]))
    used = [masks.hole(k).tobytes() for k in range(2 * SYMMETRIES)]
    assert np.array_equal(masks.hole(0), holes[0])
    assert len(set(used)) == SYMMETRIES and used[:SYMMETRIES] == used[SYMMETRIES:]


def test_an_added_mask_moves_no_other_to_another_split():
    digests = np.random.default_rng(0).integers(256, size=(61, 32), dtype=np.uint8)
    before = split_masks(digests[1:], seed=0)
    assert set(before) == {"train", "val", "test"}
    assert np.array_equal(split_masks(digests, seed=0)[1:], before)


def test_too_few_masks_are_refused():
    with pytest.raises(ValueError, match="too few"):
        split_masks(np.zeros((1, 32), np.uint8), seed=0)


def test_sets_and_drawn_kinds_have_their_turns_and_drawn_ones_stay_the_same():
    area, size = (0.1, 0.2), 16
    files = np.zeros((4, size, size), bool)
    for i, hole in enumerate(files):
        hole[0, : i + 1] = True
    masks = MaskSet(files, np.arange(4))
    kinds = ["box", "a/set", "a/set"]
    holes = draw_numbered_holes(range(6), kinds, area, size, 3, {"a/set": masks.hole})
    drawn = draw_holes(6, ["box"], area, size, 3)
    for i, number in zip((1, 2, 4, 5), range(4), strict=True):
        assert np.array_equal(holes[i], files[number])
    assert all(np.array_equal(holes[i], drawn[i]) for i in (0, 3))


def test_the_upper_end_of_a_bucket_belongs_to_it():
    first, second, third, fourth = in_turn(np.array([0.1, 0.05, 0.15, 0.2]), seed=0)
    assert {first, third} == {0, 1} and {second, fourth} == {2, 3}
