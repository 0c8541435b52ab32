import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskgit.data.crops import cut_boxes, random_boxes

SIDES = st.integers(5, 200)
SIZES = st.integers(8, 32)
SEEDS = st.integers(0, 2**32)


def draw(height, width, count, size, seed=0):
    return random_boxes(height, width, count, size, np.random.default_rng(seed))


def coordinates(height, width):
    """A picture whose pixels say where they are."""
    rows, columns = np.indices((height, width))
    return np.stack([rows, columns, np.zeros_like(rows)], axis=2).astype(np.uint8)


@given(SIDES, SIDES, SIZES, SEEDS)
def test_boxes_lie_inside_the_picture(height, width, size, seed):
    left, top, side = draw(height, width, 5, size, seed).T
    assert (left >= 0).all() and (top >= 0).all()
    assert (left + side <= width).all() and (top + side <= height).all()


@given(SIDES, SIDES, SIZES, SEEDS)
def test_boxes_are_between_native_size_and_the_whole_picture(height, width, size, seed):
    side = draw(height, width, 5, size, seed)[:, 2]
    shorter = min(height, width)
    assert (side >= min(size, shorter)).all() and (side <= shorter).all()


def test_sides_are_spread_evenly_over_the_octaves():
    sides = draw(128, 240, 400, 16)[:, 2]
    octaves = np.histogram(np.log2(sides), bins=[3.9, 5, 6, 7.01])[0]
    assert octaves.min() > 100  # of 400, a third each


@given(st.integers(0, 4), st.integers(0, 4), SEEDS)
def test_more_boxes_leave_the_first_ones_as_they_are(few, more, seed):
    first, second = (draw(60, 90, count, 16, seed) for count in (few, few + more))
    assert len(first) == few and np.array_equal(second[:few], first)


@given(SIDES, SIDES, SIZES, SEEDS)
def test_a_crop_shows_the_pixels_of_its_box(height, width, size, seed):
    boxes = draw(height, width, 3, size, seed)
    crops = cut_boxes(coordinates(height, width), boxes, size)
    assert crops.shape == (3, size, size, 3) and crops.dtype == np.uint8
    for crop, (left, top, side) in zip(crops.astype(int), boxes, strict=True):
        for axis, start in enumerate((top, left)):
            assert start <= crop[..., axis].min() and crop[..., axis].max() < start + side
            assert np.ptp(crop[..., axis]) + 1 >= 0.7 * side - 2


@pytest.mark.parametrize(("left", "top"), [(0, 0), (44, 3)])
def test_a_box_of_native_size_is_not_scaled(left, top):
    image = coordinates(60, 60)
    (crop,) = cut_boxes(image, np.array([[left, top, 16]]), 16)
    assert np.array_equal(crop, image[top : top + 16, left : left + 16])
