"""Drafts: what a model sees of a hole that was filled coarsely before."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskgit.data.drafts import COARSENESS, Drafts, draw_drafts, shown, softened, with_rest_of_hole
from maskgit.data.known_pixels import DRAFT, known_pixels, mask_pixels
from tests.holed_images import batches

CPU = torch.device("cpu")
seeds = st.integers(0, 2**32)


def pictures(seed):
    rng = np.random.default_rng(seed)
    images = torch.from_numpy(rng.uniform(-1, 1, (4, 3, 32, 32)).astype(np.float32))
    return rng, images, torch.from_numpy(rng.random((4, 32, 32)) < 0.4)


@given(seeds)
def test_only_images_with_a_draft_show_anything_in_the_hole(seed):
    rng, images, hole = pictures(seed)
    drafts = draw_drafts(rng, 4, 0.5, CPU)
    seen, plain = shown(images, hole, drafts), shown(images, hole, None)
    assert torch.equal(plain, mask_pixels(images, hole))
    assert torch.equal(seen[~drafts.which], plain[~drafts.which])
    known = ~hole[:, None].expand(-1, 4, -1, -1)
    assert torch.equal(seen[known], plain[known])
    flags = seen[drafts.which][:, 3][hole[drafts.which]]
    assert (flags == DRAFT).all()
    assert seen[:, :3].abs().max() <= 1


@given(seeds, st.integers(0, len(COARSENESS) - 1))
def test_a_draft_has_a_part_of_the_resolution_and_no_detail_of_the_truth(seed, number):
    _, images, _ = pictures(seed)
    pixels = COARSENESS[number]
    side = 32 // pixels
    detail = torch.randn(4, 3, side, side).repeat_interleave(pixels, 2).repeat_interleave(pixels, 3)
    detail[:, :, ::2] *= -1  # of no mean over the pixels of a draft
    whole, all_of_them = torch.ones(4, 32, 32, dtype=torch.bool), torch.ones(4, dtype=torch.bool)
    drafts = Drafts(all_of_them, all_of_them, torch.full((4,), number), torch.zeros(4, 3, 4, 4))
    one, two = (shown(each, whole, drafts) for each in (images, images + detail))
    torch.testing.assert_close(one, two, atol=1e-5, rtol=0)
    torch.testing.assert_close(one[:, :3], softened(images, pixels).clamp(-1, 1))
    flat = torch.full((1, 3, 32, 32), 0.3)
    torch.testing.assert_close(softened(flat, pixels), flat)


@given(batches(), seeds)
def test_a_draft_is_read_from_the_picture_and_the_rest_of_the_hole_is_not(batch, seed):
    images, hole = batch
    rng = np.random.default_rng(seed)
    draft = hole & (rng.random(hole.shape) < 0.5)
    noise = rng.integers(256, size=images.shape, dtype=np.uint8)
    others = np.where((hole & ~draft)[..., None], noise, images)
    one, two = (known_pixels(each, hole, CPU, draft) for each in (images, others))
    assert torch.equal(one, two)
    assert torch.equal(one[:, 3] == DRAFT, torch.from_numpy(draft))
    nothing = np.zeros_like(draft)
    assert torch.equal(known_pixels(images, hole, CPU, nothing), known_pixels(images, hole, CPU))


def test_the_share_says_how_many_have_a_draft_and_none_draws_no_number():
    rng = np.random.default_rng(0)
    assert draw_drafts(rng, 8, 0.0, CPU) is None
    assert rng.random() == np.random.default_rng(0).random()
    drafts = draw_drafts(rng, 2000, 0.25, CPU)
    assert 400 < drafts.which.sum() < 600
    assert drafts.errors.std() > 0.02 and drafts.errors.abs().max() < 0.6
    assert (drafts.coarseness.bincount() > 550).all()


@given(seeds)
def test_half_of_the_drafts_are_of_the_rest_of_the_picture(seed):
    rng, _, hole = pictures(seed)
    assert with_rest_of_hole(hole, None) is hole
    drafts = draw_drafts(rng, 4, 0.5, CPU)
    assert (drafts.which | ~drafts.within).all()
    for image, within in zip(range(4), drafts.within, strict=True):
        assert torch.equal(
            with_rest_of_hole(hole, drafts)[image], ~hole[image] if within else hole[image]
        )
    many = draw_drafts(rng, 2000, 0.5, CPU)
    assert 400 < many.within.sum() < 600
