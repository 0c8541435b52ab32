import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskgit.inpainting.seam import blend, membrane, reconstruct, smoothest_fill
from maskgit.tokenizer.vqgan import VQGAN


@pytest.fixture
def hole():
    hole = np.zeros((12, 14), dtype=bool)
    hole[3:9, 4:11] = True
    hole[0, 0] = hole[11, 5:9] = True  # at the border of the picture, too
    return hole


def test_a_membrane_between_equal_edges_is_flat(hole):
    assert membrane(np.full((12, 14, 3), 7.0), hole) == pytest.approx(7)


def test_a_membrane_continues_a_slope(hole):
    hole[0, 0] = hole[11] = False  # inside the picture a plane solves Laplace's equation
    rows, columns = np.mgrid[:12, :14]
    plane = (2.0 * rows - 3.0 * columns)[..., None]
    assert membrane(plane, hole) == pytest.approx(plane[hole])


@given(seed=st.integers(0, 2**32))
def test_a_membrane_stays_between_its_edges(seed):
    rng = np.random.default_rng(seed)
    hole = rng.random((9, 9)) < 0.6
    if hole.any() and not hole.all():
        values = membrane(rng.random((9, 9, 1)), hole)
        assert values.min() >= -1e-9 and values.max() <= 1 + 1e-9


def test_blending_removes_a_constant_error_and_keeps_known_pixels(hole):
    rng = np.random.default_rng(0)
    image = rng.integers(60, 200, size=(12, 14, 3), dtype=np.uint8)
    blended = blend(image[None] + np.uint8(30), image[None], hole[None])[0]
    assert np.array_equal(blended, image)


def test_the_smoothest_fill_continues_a_slope_and_keeps_known_pixels(hole):
    hole[0, 0] = hole[11] = False
    rows, columns = np.mgrid[:12, :14]
    slope = np.repeat((4 * rows + 7 * columns)[..., None], 3, axis=2).astype(np.uint8)
    damaged = np.where(hole[..., None], np.uint8(200), slope)
    assert np.array_equal(smoothest_fill(damaged, hole), slope)


def test_full_and_empty_holes():
    rng = np.random.default_rng(0)
    images, filled = rng.integers(256, size=(2, 2, 8, 8, 3), dtype=np.uint8)
    hole = np.zeros((2, 8, 8), dtype=bool)
    hole[1] = True
    blended = blend(filled, images, hole)
    assert np.array_equal(blended[0], images[0])
    assert np.array_equal(blended[1], filled[1])


def test_a_reconstruction_changes_the_hole_only():
    torch.manual_seed(0)
    tokenizer = VQGAN(channels=16, decoder_blocks=1, codebook_size=16).eval()
    images = np.random.default_rng(0).integers(256, size=(3, 32, 32, 3), dtype=np.uint8)
    hole = np.zeros((3, 32, 32), dtype=bool)
    hole[:, 8:20, 8:20] = True
    result = reconstruct(tokenizer, images, hole)
    assert np.array_equal(result[~hole], images[~hole])
    assert not np.array_equal(result[hole], images[hole])
