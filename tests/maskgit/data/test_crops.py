import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskgit.data.crops import random_crops


def coordinates(height, width):
    """A picture whose pixels say where they are."""
    rows, columns = np.indices((height, width))
    return np.stack([rows, columns, np.zeros_like(rows)], axis=2).astype(np.uint8)


@given(st.integers(5, 200), st.integers(5, 200), st.integers(8, 32), st.integers(0, 2**32))
def test_crops_are_windows_of_the_picture(height, width, size, seed):
    crops = random_crops(coordinates(height, width), 3, size, np.random.default_rng(seed))
    assert crops.shape == (3, size, size, 3) and crops.dtype == np.uint8
    for crop in crops.astype(int):
        assert crop[..., 0].max() < height and crop[..., 1].max() < width
        spans = [np.ptp(crop[..., axis]) + 1 for axis in (0, 1)]
        least, most = min(size, height, width), min(height, width)
        assert all(0.7 * least - 2 <= span <= most for span in spans)


def test_the_smallest_are_not_scaled_and_scales_are_spread_evenly():
    image = coordinates(128, 240)
    crops = random_crops(image, 400, 16, np.random.default_rng(0))
    sides = np.ptp(crops[..., 0].astype(float), axis=(1, 2)) + 1
    assert sides.min() == 16 and 120 <= sides.max() <= 128
    octaves = np.histogram(np.log2(sides), bins=[3.9, 5, 6, 7.01])[0]
    assert octaves.min() > 100  # of 400, a third each
    native = crops[sides == 16][0]
    top, left = native[0, 0, :2]
    assert np.array_equal(native, image[top : top + 16, left : left + 16])


@pytest.mark.parametrize("count", [0, 2])
def test_the_same_generator_gives_the_same_crops(count):
    image = coordinates(60, 60)
    first, second = (random_crops(image, count, 16, np.random.default_rng(7)) for _ in range(2))
    assert len(first) == count and np.array_equal(first, second)
