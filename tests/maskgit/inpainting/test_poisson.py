"""Blending on a device, here run on the processor: the same pixels as the processor's own way."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskgit.data.cats.cat import draw_cats
from maskgit.data.holes import HOLES, draw_holes
from maskgit.inpainting import seam
from maskgit.inpainting.poisson import blend_batch, membranes
from maskgit.inpainting.seam import LARGE, blend


def blended(filled, images, hole):
    return blend_batch(*map(torch.from_numpy, (filled, images, hole))).numpy()


@pytest.mark.parametrize("kind", HOLES)
def test_both_ways_agree_to_one_grey_level_in_every_kind_of_hole(kind):
    rng = np.random.default_rng(0)
    images, filled = rng.integers(256, size=(2, 3, 32, 32, 3), dtype=np.uint8)
    hole = draw_holes(3, [kind], (0.1, 0.6), 32, 1)
    expected = blend(filled, images, hole)
    assert np.abs(blended(filled, images, hole).astype(int) - expected).max() <= 1


def test_both_ways_agree_to_one_grey_level_on_pictures():
    images, hole = draw_cats(2, seed=0), draw_holes(2, ["mixture"], (0.25, 0.4), 64, 1)
    filled = (images // 2 + 40).astype(np.uint8)
    expected = blend(filled, images, hole)
    assert np.abs(blended(filled, images, hole).astype(int) - expected).max() <= 1


@given(seed=st.integers(0, 2**32), share=st.floats(0, 1))
def test_known_pixels_come_back_and_no_pixel_of_the_hole_is_read(seed, share):
    rng = np.random.default_rng(seed)
    images, filled = rng.integers(256, size=(2, 2, 9, 7, 3), dtype=np.uint8)
    hole = rng.random((2, 9, 7)) < share
    result = blended(filled, images, hole)
    assert np.array_equal(result[~hole], images[~hole])
    other = np.where(hole[..., None], 255 - images, images)
    assert np.array_equal(blended(filled, other, hole), result)


def test_a_full_hole_is_the_fill_and_an_empty_one_the_picture():
    rng = np.random.default_rng(0)
    images, filled = rng.integers(256, size=(2, 2, 8, 8, 3), dtype=np.uint8)
    hole = np.zeros((2, 8, 8), dtype=bool)
    hole[1] = True
    result = blended(filled, images, hole)
    assert np.array_equal(result, np.stack([images[0], filled[1]]))


def test_a_large_hole_is_solved_exactly():
    side = 96
    rows, columns = np.mgrid[:side, :side]
    plane = torch.from_numpy(0.5 * rows - 0.25 * columns).float()[None, None]
    hole = torch.zeros(1, side, side, dtype=torch.bool)
    hole[:, 1:-1, 1:-1] = True  # inside the picture a plane solves Laplace's equation
    assert hole.sum() > LARGE
    error = (membranes(plane, hole) - plane)[hole[:, None]].abs().max()
    assert error < 0.1


def test_a_gpu_blends_a_batch_at_once_and_leaves_large_pictures_to_the_processor(monkeypatch):
    taken = []

    def recorded(filled, images, hole):
        taken.append(hole.shape)
        return filled

    monkeypatch.setattr(seam, "blend_batch", recorded)
    monkeypatch.setattr(seam, "BATCHED", 64)
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, device: tensor)
    for side in (8, 9):
        pictures = np.zeros((2, side, side, 3), dtype=np.uint8)
        blend(pictures, pictures, np.zeros((2, side, side), dtype=bool), torch.device("cuda"))
    assert taken == [(2, 8, 8)]
