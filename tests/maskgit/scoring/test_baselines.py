import numpy as np
import pytest

from maskgit.scoring.baselines import BASELINES, MID_GREY, mean_colour


@pytest.fixture(params=BASELINES, ids=str)
def fill(request):
    return BASELINES[request.param]


def gradient(height=24, width=32):
    """A smooth picture: red grows downwards, green to the right, blue is flat."""
    y, x = np.mgrid[:height, :width]
    return np.stack([5 * y + 20, 4 * x + 60, np.full_like(x, 90)], axis=-1).astype(np.uint8)


def box(height=24, width=32):
    hole = np.zeros((height, width), dtype=bool)
    hole[8:16, 10:20] = True
    return hole


def test_known_pixels_come_back_bit_for_bit(fill):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    hole = rng.random((24, 32)) < 0.4
    original = image.copy()
    filled = fill(image, hole)
    assert filled.dtype == np.uint8
    assert filled.shape == image.shape
    np.testing.assert_array_equal(filled[~hole], image[~hole])
    np.testing.assert_array_equal(image, original)


def test_nothing_leaks_out_of_the_hole(fill):
    hole = box()
    image, altered = gradient(), gradient()
    altered[hole] = 255
    np.testing.assert_array_equal(fill(image, hole), fill(altered, hole))


def test_flat_image_stays_flat(fill):
    image = np.full((24, 32, 3), (10, 200, 90), dtype=np.uint8)
    # OpenCV's Telea takes rounding for a gradient, and drifts by a few levels.
    np.testing.assert_allclose(fill(image, box()).astype(int), image, rtol=0, atol=4)


@pytest.mark.parametrize(("name", "tolerance"), [("telea", 40), ("biharmonic", 1)])
def test_continues_a_gradient(name, tolerance):
    image, hole = gradient(), box()
    difference = BASELINES[name](image, hole).astype(int) - image
    assert np.abs(difference).max() <= tolerance


def test_mean_colour():
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    image[0] = (10, 20, 30)
    image[1] = (20, 40, 60)
    hole = np.zeros((4, 4), dtype=bool)
    hole[2:] = True
    np.testing.assert_array_equal(mean_colour(image, hole)[hole], [[15, 30, 45]] * 8)


def test_channels_do_not_mix(fill):
    """So it does not matter that OpenCV counts blue, green, red."""
    image, hole = gradient(), box()
    np.testing.assert_array_equal(fill(image[..., ::-1], hole), fill(image, hole)[..., ::-1])


def test_without_a_known_pixel_all_is_grey(fill):
    filled = fill(gradient(), np.ones((24, 32), dtype=bool))
    np.testing.assert_array_equal(filled, np.full((24, 32, 3), MID_GREY))


def test_without_a_hole_a_copy_comes_back(fill):
    image = gradient()
    filled = fill(image, np.zeros((24, 32), dtype=bool))
    np.testing.assert_array_equal(filled, image)
    assert not np.shares_memory(filled, image)


@pytest.mark.parametrize("known", [(0, 0), (23, 31), (12, 16)])
def test_a_single_known_pixel_is_enough(fill, known):
    image, hole = gradient(), np.ones((24, 32), dtype=bool)
    hole[known] = False
    filled = fill(image, hole)
    np.testing.assert_array_equal(filled[known], image[known])


def test_read_only_memory_will_do(fill):
    image, hole = gradient(), box()
    image.setflags(write=False)
    hole.setflags(write=False)
    fill(image, hole)


def test_refuses_wrong_arrays(fill):
    image, hole = gradient(), box()
    for wrong in [(image / 255, hole), (image, hole.astype(np.uint8)), (image, hole.T)]:
        with pytest.raises(ValueError, match="image must be"):
            fill(*wrong)
