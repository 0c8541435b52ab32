"""Laws of the search for dust."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskgit.data.dust import LARGEST, find_dust


def ramp(height, width):
    """A smooth picture."""
    rows, columns = np.mgrid[:height, :width]
    shade = 60 + 80 * rows / height + 30 * columns / width
    return np.repeat(shade[..., None], 3, axis=2).astype(np.uint8)


def test_a_smooth_picture_has_no_dust():
    assert not find_dust(ramp(120, 90)).any() and not find_dust(ramp(120, 90), dark=True).any()


@given(row=st.integers(10, 100), column=st.integers(10, 70), radius=st.integers(1, 3))
def test_a_light_speck_on_smooth_ground_is_found_and_little_else(row, column, radius):
    picture = ramp(120, 90)
    cv2.circle(picture, (column, row), radius, (240, 240, 240), -1)
    speck = (picture != ramp(120, 90)).any(axis=2)
    found = find_dust(picture)
    assert found[speck].all()
    assert not (found & ~(cv2.dilate(speck.astype(np.uint8), np.ones((5, 5))) > 0)).any()
    assert not find_dust(picture, dark=True)[speck].any()


def test_a_dark_picture_with_light_dust_is_a_light_one_with_dark_dust():
    picture = np.random.default_rng(0).integers(0, 256, (80, 70, 3), dtype=np.uint8)
    assert np.array_equal(find_dust(picture), find_dust(255 - picture, dark=True))


def test_texture_is_left_alone():
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 1), dtype=np.uint8)
    assert find_dust(np.repeat(noise, 3, axis=2)).mean() < 0.01


def test_a_hair_is_found_along_its_length():
    picture = ramp(200, 200)
    cv2.line(picture, (20, 30), (180, 150), (230, 230, 230), 2)
    hair = (picture != ramp(200, 200)).any(axis=2)
    assert find_dust(picture)[hair].mean() > 0.95


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (LARGEST * 2, 40)])
def test_any_size_is_searched(shape):
    assert find_dust(np.full((*shape, 3), 90, np.uint8)).shape == shape
