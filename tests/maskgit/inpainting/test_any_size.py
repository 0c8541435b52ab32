"""Pictures of any size: the laws of inpainting hold at full size too."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskgit.inpainting.any_size import enlarge, fill_photo, network_inputs, shrink
from maskgit.inpainting.inpainter import Inpainter
from maskgit.inpainting.replay import picture_after
from maskgit.inpainting.seam import _refine, _solve, smoothest_fill
from maskgit.schedules import SCHEDULES
from maskgit.tokenizer.vqgan import VQGAN
from maskgit.transformer.model import MaskedTransformer

LINEAR = SCHEDULES["linear"]


@pytest.fixture(scope="module")
def inpainter():
    torch.manual_seed(0)
    tokenizer = VQGAN(channels=16, decoder_blocks=1, latent_dim=4, codebook_size=32)
    transformer = MaskedTransformer(
        codebook_size=32, latent_dim=4, grid=16, dim=16, heads=2, layers=1
    )
    transformer.set_codebook(tokenizer.codebook.embedding)
    return Inpainter(tokenizer, transformer)


@st.composite
def photos(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    height, width = rng.integers(1, 150, size=2)
    image = rng.integers(256, size=(height, width, 3), dtype=np.uint8)
    hole = np.zeros((height, width), dtype=bool)
    for _ in range(rng.integers(0, 4)):
        top, left = rng.integers(height), rng.integers(width)
        hole[top : top + rng.integers(1, 80), left : left + rng.integers(1, 80)] = True
    return image, hole


@settings(max_examples=40)
@given(photo=photos(), seed=st.integers(0, 2**32), drafts=st.booleans())
def test_laws_at_any_size(inpainter, photo, seed, drafts):
    image, hole = photo
    before = image.copy(), hole.copy()
    result = fill_photo(inpainter, image, hole, LINEAR, 2, 0, drafts=drafts)
    assert result.shape == image.shape and result.dtype == np.uint8
    assert np.array_equal(result[~hole], image[~hole])
    assert np.array_equal(image, before[0]) and np.array_equal(hole, before[1])
    noise = np.random.default_rng(seed).integers(256, size=image.shape, dtype=np.uint8)
    others = np.where(hole[..., None], noise, image)
    again = fill_photo(inpainter, others, hole, LINEAR, 2, 0, drafts=drafts)
    assert np.array_equal(result, again)


@pytest.mark.parametrize(("height", "width"), [(1, 40), (40, 3), (2, 2)])
def test_a_narrow_picture_is_filled_as_part_of_one_that_goes_on(inpainter, height, width):
    image = np.random.default_rng(0).integers(256, size=(height, width, 3), dtype=np.uint8)
    hole = np.zeros((height, width), dtype=bool)
    hole[height // 2, width // 2] = True
    down, right = max(0, 16 - height), max(0, 16 - width)
    wide = np.pad(image, [(0, down), (0, right), (0, 0)], mode="edge")
    wide_hole = np.pad(hole, [(0, down), (0, right)], mode="edge")
    expected = fill_photo(inpainter, wide, wide_hole, LINEAR, 2, 0)
    patches = []
    filled = fill_photo(inpainter, image, hole, LINEAR, 2, 0, watch=patches.append)
    assert np.array_equal(filled, expected[:height, :width])
    assert picture_after(2, inpainter, image, hole, patches).shape == image.shape


def test_every_part_of_a_scattered_hole_is_filled(inpainter):
    image = np.full((300, 500, 3), 200, dtype=np.uint8)
    hole = np.zeros((300, 500), dtype=bool)
    hole[10:20, 10:20] = hole[200:280, 30:60] = hole[100:110, 450:499] = True
    image[hole] = 0
    result = fill_photo(inpainter, image, hole, LINEAR, 2, 0)
    assert (result[hole] > 0).all()


def test_the_models_own_size_is_filled_as_it_is(inpainter):
    image = np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)
    hole = np.zeros((64, 64), dtype=bool)
    hole[20:40, 20:40] = True
    small, small_hole = shrink(image, hole, 64)
    assert np.array_equal(small, image) and np.array_equal(small_hole, hole)


def test_without_blending_a_scaled_fill_is_pasted_as_it_is(models):
    image = np.random.default_rng(0).integers(256, size=(256, 256, 3), dtype=np.uint8)
    hole = np.zeros((256, 256), dtype=bool)
    hole[100:160, 100:160] = True
    patches = []
    pasting = Inpainter(*models, seamless=False)
    result = fill_photo(pasting, image, hole, LINEAR, 2, 0, watch=patches.append)
    (patch,) = patches
    assert patch.window.side > 64
    large = enlarge(patch.drawn.images[0], patch.window.side)
    inside = patch.window.fills
    assert np.array_equal(result[patch.window.inner][inside], large[patch.window.within][inside])


def test_with_drafts_a_large_hole_is_drawn_again_down_to_the_pictures_own_detail(models):
    image = np.random.default_rng(0).integers(256, size=(300, 300, 3), dtype=np.uint8)
    hole = np.zeros((300, 300), dtype=bool)
    hole[120:180, 120:180] = True
    inpainter, patches, shares = Inpainter(*models), [], []
    how = LINEAR, 2, 0, 0, shares.append
    sharp = fill_photo(inpainter, image, hole, *how, watch=patches.append, drafts=True)
    coarse = [patch for patch in patches if not patch.has_draft]
    sides = list(dict.fromkeys(patch.window.side for patch in patches))
    assert sides == [148, 74, 64] and len(coarse) == 1
    assert shares == sorted(shares) and shares[-1] == 1
    soft = fill_photo(inpainter, image, hole, LINEAR, 2, 0)
    assert not np.array_equal(sharp, soft)
    drawn = np.zeros_like(hole)
    for patch in patches:
        if patch.window.side == 64:
            drawn[patch.window.inner] |= patch.window.fills
    assert np.array_equal(drawn, hole)
    last = picture_after(2, inpainter, image, hole, patches)
    assert np.array_equal(last[~hole], image[~hole])


@pytest.mark.parametrize(
    ("thickness", "side", "drafted"),
    [(3, 64, True), (32, 64, True), (36, 64, False), (3, 80, False)],
)
def test_thin_holes_at_the_pictures_own_detail_have_their_smoothest_fill_as_a_draft(
    thickness, side, drafted
):
    crop = np.random.default_rng(0).integers(256, size=(side, side, 3), dtype=np.uint8)
    hole = np.zeros((side, side), dtype=bool)
    hole[20 : 20 + thickness, 10:50] = True
    small, small_hole = shrink(crop, hole, 64)
    seen, unknown, draft = network_inputs(crop, hole, 64, is_finer=False, drafts=True)
    assert np.array_equal(unknown, small_hole)
    assert np.array_equal(draft, small_hole & drafted)
    assert np.array_equal(seen, smoothest_fill(small, small_hole) if drafted else small)
    for is_finer in (False, True):  # a model without drafts, and windows that show a coarse fill
        seen, _, draft = network_inputs(crop, hole, 64, is_finer, drafts=is_finer)
        assert np.array_equal(seen, small) and np.array_equal(draft, small_hole & is_finer)


def test_a_window_without_known_pixels_has_no_draft():
    crop, hole = np.zeros((64, 64, 3), dtype=np.uint8), np.ones((64, 64), dtype=bool)
    assert not network_inputs(crop, hole, 64, is_finer=False, drafts=True)[2].any()


def test_large_holes_blend_nearly_as_exactly_as_small_ones():
    rows, columns = np.mgrid[:150, :170]
    difference = np.stack([rows - columns, rows * columns / 50, np.sin(rows / 9) * 40], axis=2)
    hole = (rows - 70) ** 2 + (columns - 80) ** 2 < 60**2
    difference = difference.astype(float)
    exact, fast = _solve(difference, hole), _refine(difference, hole)
    spread = np.ptp(difference[~hole])
    assert np.abs(fast - exact).max() < 0.03 * spread
