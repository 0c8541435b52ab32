import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskgit.tokenizer.hidden_tokens import hidden_tokens
from maskgit.tokenizer.kinds import decode_each, decode_into_hole, encode_each
from maskgit.tokenizer.vqgan import VQGAN, codebook_usage

CASES = [(4, "kmeans"), (8, "kmeans"), (16, "kmeans"), (4, "fsq")]


@pytest.fixture(scope="module", params=CASES, ids="cell {0[0]} {0[1]}".format)
def tokenizer(request):
    cell, quantizer = request.param
    torch.manual_seed(0)
    sizes = {"channels": 32, "decoder_blocks": 1, "codebook_size": 64}
    return VQGAN(**sizes, cell=cell, quantizer=quantizer).eval()


@pytest.fixture(scope="module")
def side(tokenizer):
    """Of pictures of 16 x 16 tokens."""
    return 16 * tokenizer.cell


def test_shapes(tokenizer, side):
    images = torch.rand(2, 3, side, side) * 2 - 1
    tokens = tokenizer.encode(images)
    assert tokens.shape == (2, 16, 16) and tokens.dtype == torch.int64
    assert tokens.min() >= 0 and tokens.max() < 64
    decoded = tokenizer.decode(tokens)
    assert decoded.shape == images.shape and decoded.abs().max() <= 1


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32))
def test_codes_outside_a_hole_do_not_know_what_is_in_it(tokenizer, side, seed):
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(1, 3, side, side, generator=generator) * 2 - 1
    hole = torch.rand(1, side, side, generator=generator) < 0.16 / tokenizer.cell**2
    holed = torch.where(hole[:, None], torch.zeros(()), image)
    visible = ~hidden_tokens(hole, tokenizer.cell, tokenizer.margin).touched
    assert visible.any()
    assert torch.equal(tokenizer.encode(image)[visible], tokenizer.encode(holed)[visible])


def test_usage_and_perplexity():
    assert codebook_usage(torch.ones(8, dtype=torch.int64)) == (1.0, pytest.approx(8))
    assert codebook_usage(torch.tensor([10, 0, 0, 0, 0, 0, 0, 0])) == (1 / 8, pytest.approx(1))


def test_a_decoder_draws_into_a_hole_from_tokens_and_known_pixels_alone(tokenizer, side):
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(2, side, side, 3), dtype=np.uint8)
    hole = np.zeros((2, side, side), dtype=bool)
    hole[:, side // 7 : side // 2, side // 3 : side * 3 // 4] = True
    tokens = encode_each(tokenizer, images)
    drawn = decode_into_hole(tokenizer, tokens, images, hole)

    noise = rng.integers(256, size=images.shape, dtype=np.uint8)
    under_the_hole = np.where(hole[..., None], noise, images)
    assert np.array_equal(decode_into_hole(tokenizer, tokens, under_the_hole, hole), drawn)
    beside_it = np.where(hole[..., None], images, noise)
    assert not np.array_equal(
        decode_into_hole(tokenizer, tokens, beside_it, hole)[hole], drawn[hole]
    )
    assert not np.array_equal(decode_each(tokenizer, tokens)[hole], drawn[hole])

    touched, covered = hidden_tokens(torch.from_numpy(hole), tokenizer.cell, tokenizer.margin)
    others = (tokens + 1) % 64  # codes that cannot be known, and need not be drawn, do not matter
    rim = torch.where(touched & ~covered, others, tokens)
    assert np.array_equal(decode_into_hole(tokenizer, rim, images, hole), drawn)
    inside = torch.where(covered, others, tokens)
    assert not np.array_equal(decode_into_hole(tokenizer, inside, images, hole), drawn)


def test_mistakes_are_made_in_the_hole_alone(tokenizer, side):
    """And all that the decoder sees in it are codes that have a token."""
    torch.manual_seed(0)
    images = torch.rand(1, 3, side, side) * 2 - 1
    hole = torch.zeros(1, side, side, dtype=torch.bool)
    hole[:, side // 4 : side * 3 // 4, side // 4 : side * 3 // 4] = True
    _, right = tokenizer.quantize(images, hole)
    _, wrong = tokenizer.quantize(images, hole, mistakes=3.0)
    _, covered = hidden_tokens(hole, tokenizer.cell, tokenizer.margin)
    changed = right.tokens != wrong.tokens
    assert changed.any() and not changed[~covered].any()
    assert torch.allclose(wrong.codes, tokenizer.codebook.lookup(wrong.tokens), atol=1e-6)


@pytest.mark.parametrize("cell", [0, 2, 6, 12])
def test_a_cell_that_cannot_be_halved_down_is_refused(cell):
    with pytest.raises(ValueError, match="cell"):
        VQGAN(cell=cell)
