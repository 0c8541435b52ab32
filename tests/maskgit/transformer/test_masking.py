import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskgit.pixels import pixels_to_float
from maskgit.schedules import SCHEDULES
from maskgit.tokenizer.hidden_tokens import hidden_tokens
from maskgit.transformer.masking import (
    Holes,
    cells_to_pixels,
    fixed_batches,
    hide,
    mask_ratios,
    random_hidden,
)


@given(y=st.integers(0, 63), x=st.integers(0, 63), margin=st.integers(0, 2))
def test_a_pixel_hides_exactly_the_tokens_that_see_it(y, x, margin):
    hole = torch.zeros(1, 64, 64, dtype=torch.bool)
    hole[0, y, x] = True
    touched, covered = hidden_tokens(hole, 4, margin)
    for i in range(16):
        for j in range(16):
            sees = (
                4 * i - margin <= y < 4 * i + 4 + margin
                and 4 * j - margin <= x < 4 * j + 4 + margin
            )
            assert touched[0, i, j] == sees
            assert covered[0, i, j] == (i == y // 4 and j == x // 4)


@given(seed=st.integers(0, 2**32), name=st.sampled_from(sorted(SCHEDULES)))
def test_random_masks_hide_the_exact_count_that_gamma_asks_for(seed, name):
    gamma = SCHEDULES[name]
    among = torch.rand(8, 256, generator=torch.Generator().manual_seed(seed)) < 0.4
    among[0], among[1] = True, False
    ratio = mask_ratios(8, gamma, np.random.default_rng(seed))
    hidden = random_hidden(among, ratio, torch.Generator().manual_seed(seed))
    assert not hidden[~among].any()
    drawn = np.random.default_rng(seed).random(8)
    for row, places, r in zip(hidden, among.sum(dim=1).tolist(), drawn, strict=True):
        wanted = np.ceil(max(1.0, np.float32(gamma(r)) * np.float32(places)))
        assert row.sum().item() == min(wanted, places)


def test_every_place_is_hidden_alike():
    among = torch.ones(4000, 16, dtype=torch.bool)
    ratio = mask_ratios(4000, SCHEDULES["linear"], np.random.default_rng(0))
    hidden = random_hidden(among, ratio, torch.Generator().manual_seed(0))
    share = hidden.float().mean(dim=0)
    assert (share - share.mean()).abs().max() < 0.04


@st.composite
def batches(draw):
    """Images, tokens, holes, both choices and ratios for `hide`, of four images of 16 x 16."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    images = torch.from_numpy(rng.integers(256, size=(4, 16, 16, 3), dtype=np.uint8))
    tokens = torch.from_numpy(rng.integers(9, size=(4, 16)))
    pixels = torch.from_numpy(
        rng.random((4, 16, 16)) < draw(st.sampled_from([0.0, 0.01, 0.2, 1.0]))
    )
    holes = Holes(pixels, *[part.flatten(1) for part in hidden_tokens(pixels, 4, 2)])
    choices = torch.from_numpy(rng.random((2, 4)) < 0.5)
    return images, tokens, holes, *choices, mask_ratios(4, SCHEDULES["cosine"], rng)


def to_decide(holes, sees_pixels):
    """What inference hides at its start."""
    return holes.covered if sees_pixels else holes.touched


EXAMPLES = given(batch=batches(), sees_pixels=st.booleans(), seed=st.integers(0, 2**32))


def example_of(batch, sees_pixels, seed):
    return hide(*batch, sees_pixels, torch.Generator().manual_seed(seed))


@EXAMPLES
def test_an_example_keeps_the_tokens_to_learn(batch, sees_pixels, seed):
    assert torch.equal(example_of(batch, sees_pixels, seed).tokens, batch[1])


@EXAMPLES
def test_what_is_hidden_is_masked(batch, sees_pixels, seed):
    example = example_of(batch, sees_pixels, seed)
    assert not (example.hidden & ~example.masked).any()


@EXAMPLES
def test_known_pixels_are_those_of_the_image_and_all_else_is_blank(batch, sees_pixels, seed):
    example = example_of(batch, sees_pixels, seed)
    known = example.known[:, 3:] > 0
    expected = torch.where(known, pixels_to_float(batch[0]), torch.zeros(()))
    assert torch.equal(example.known[:, :3], expected)


@EXAMPLES
def test_without_a_hole_exactly_the_hidden_cells_are_blank(batch, sees_pixels, seed):
    example, random = example_of(batch, sees_pixels, seed), ~batch[3]
    blank = cells_to_pixels(example.hidden, 16)
    assert torch.equal(example.known[random, 3] > 0, ~blank[random])
    assert torch.equal(example.masked[random], example.hidden[random])


@EXAMPLES
def test_a_hole_blanks_exactly_its_pixels(batch, sees_pixels, seed):
    _, _, holes, from_hole, *_ = batch
    example = example_of(batch, sees_pixels, seed)
    assert torch.equal(example.known[from_hole, 3] > 0, ~holes.pixels[from_hole])


@EXAMPLES
def test_a_hole_hides_what_inference_would_but_for_what_is_decided(batch, sees_pixels, seed):
    _, _, holes, from_hole, *_ = batch
    example, start = example_of(batch, sees_pixels, seed), to_decide(holes, sees_pixels)
    decided = start & ~example.masked
    assert torch.equal((example.masked | decided)[from_hole], holes.touched[from_hole])
    assert torch.equal((example.hidden | decided)[from_hole], start[from_hole])


@EXAMPLES
def test_tokens_of_a_hole_are_decided_in_partly_filled_examples_alone(batch, sees_pixels, seed):
    _, _, holes, from_hole, partly, _ = batch
    example, start = example_of(batch, sees_pixels, seed), to_decide(holes, sees_pixels)
    assert not (start & ~example.masked)[from_hole & ~partly].any()


def test_some_examples_are_partly_decided_already():
    ones = torch.ones(64, 16, dtype=torch.bool)
    holes = Holes(torch.ones(64, 16, 16, dtype=torch.bool), ones, ones)
    images = torch.zeros(64, 16, 16, 3, dtype=torch.uint8)
    ratio = mask_ratios(64, SCHEDULES["linear"], np.random.default_rng(0))
    yes, generator = ones[:, 0], torch.Generator().manual_seed(0)
    example = hide(images, ones, holes, yes, yes, ratio, True, generator)
    counts = example.hidden.sum(dim=1)
    assert counts.min() < 4 and counts.max() > 12


def test_every_hole_has_its_turn_in_fixed_batches():
    images = np.zeros((8, 16, 16, 3), dtype=np.uint8)
    tokens = np.zeros((8, 16), dtype=np.uint16)
    covered = torch.eye(16, dtype=torch.bool)[:2]  # kinds of holes take turns, as in `data.holes`
    pixels = cells_to_pixels(covered, 16)
    batches = fixed_batches(
        images, tokens, Holes(pixels, covered, covered), True, SCHEDULES["cosine"], 5, 4
    )
    hidden = torch.cat([batch.hidden[batch.from_hole] for batch in batches])
    assert torch.equal(hidden, covered.repeat(2, 1))


def test_fixed_batches_stay_the_same_and_mix_both_kinds():
    tokens = np.arange(9 * 16, dtype=np.uint16).reshape(9, 16)
    images = np.random.default_rng(0).integers(256, size=(9, 16, 16, 3), dtype=np.uint8)
    pixels = torch.zeros(3, 16, 16, dtype=torch.bool)
    pixels[:, 5, 5] = True
    covered = torch.zeros(3, 16, dtype=torch.bool)
    covered[:, 5] = True
    holes = Holes(pixels, covered, covered)
    arguments = images, tokens, holes, True, SCHEDULES["cosine"], 5, 4
    first, second = fixed_batches(*arguments), fixed_batches(*arguments)
    assert [len(batch.tokens) for batch in first] == [4, 4, 1]
    for a, b in zip(first, second, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
        assert a.from_hole[::2].all() and not a.from_hole[1::2].any()
        assert (a.hidden[::2].sum(dim=1) == 1).all() and a.hidden[::2, 5].all()
