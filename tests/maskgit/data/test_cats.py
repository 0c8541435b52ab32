"""Laws of the built-in cats; bounds leave a wide margin round values measured on several seeds."""

import numpy as np
import pytest

from maskgit.data.cats.cat import draw_cat, draw_cats


@pytest.fixture(scope="module")
def cats() -> np.ndarray:
    return draw_cats(200, seed=0).astype(np.int16)


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean absolute difference of each pair of images, in grey levels."""
    return np.abs(a - b).mean(axis=(-3, -2, -1))


def test_same_seed_gives_the_same_bytes():
    assert draw_cats(20, seed=7).tobytes() == draw_cats(20, seed=7).tobytes()


def test_an_image_does_not_depend_on_the_count():
    assert np.array_equal(draw_cats(12, seed=3)[:5], draw_cats(5, seed=3))


def test_draw_cats_seeds_each_image_by_its_index():
    cat = draw_cat(np.random.default_rng([3, 4]))
    assert np.array_equal(cat, draw_cats(5, seed=3)[4])


def test_different_seeds_give_different_cats(cats):
    other = draw_cats(20, seed=1).astype(np.int16)
    assert difference(cats[:20], other).min() > 12


@pytest.mark.parametrize("size", [32, 64, 100, 128])
def test_dtype_and_shape(size):
    images = draw_cats(2, seed=0, size=size)
    assert images.shape == (2, size, size, 3)
    assert images.dtype == np.uint8


def test_no_images():
    assert draw_cats(0, seed=0).shape == (0, 64, 64, 3)


def test_a_cat_is_the_same_cat_at_any_size():
    large = draw_cats(10, seed=0, size=128).reshape(10, 64, 2, 64, 2, 3).mean(axis=(2, 4))
    middle = draw_cats(10, seed=0, size=64)
    small = draw_cats(10, seed=0, size=32)
    assert difference(large, middle.astype(float)).max() < 4
    halved = middle.reshape(10, 32, 2, 32, 2, 3).mean(axis=(2, 4))
    assert difference(halved, small.astype(float)).max() < 2


def test_no_two_cats_are_nearly_equal(cats):
    closest = min(difference(cats[i + 1 :], cats[i]).min() for i in range(len(cats) - 1))
    assert closest > 12


def test_every_cat_has_lights_and_darks_without_clipping(cats):
    assert cats.std(axis=(1, 2, 3)).min() > 12
    assert np.isin(cats, (0, 255)).mean() < 0.08


def test_a_cat_resembles_its_own_mirror_image(cats):
    mirrored = cats[:, :, ::-1]
    own = difference(cats, mirrored)
    others = difference(cats, np.roll(mirrored, 1, axis=0))
    assert (own < others).mean() > 0.85


def test_the_average_cat_is_symmetric(cats):
    average = cats.mean(axis=0)
    assert difference(average, average[:, ::-1]) < 0.35 * average.std()
