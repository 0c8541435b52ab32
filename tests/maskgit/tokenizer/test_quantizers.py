"""The laws of quantizers; each takes up a new one by itself. And what each does by itself."""

import re
from itertools import product
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from maskgit.checkpoints import checkpoint_of, restore
from maskgit.tokenizer.codebook_sizes import CODES, FSQ_LEVELS
from maskgit.tokenizer.kinds import tokenizer_kinds
from maskgit.tokenizer.quantizers import FSQ, QUANTIZERS, KMeans
from maskgit.tokenizer.settings import TokenizerConfig
from maskgit.tokenizer.vqgan import VQGAN
from tests.clone import ROOT

SIZE, LATENT_DIM = 64, 6


def draw_latents(seed, count=2, scale=3.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(count, LATENT_DIM, 5, 7, generator=generator)


PAGE = "docs/add-a-tokenizer.md"
EXAMPLE = "signs"  # the name of the quantizer that the page registers
NAMES = [*QUANTIZERS, EXAMPLE]


@pytest.fixture(scope="module", autouse=True)
def example():
    """The code of the page, run as it stands there."""
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / PAGE).read_text(), re.M | re.S)
    with patch.dict(QUANTIZERS), patch.dict(CODES):
        exec(compile(code, PAGE, "exec"), {"__name__": "my_quantizers"})
        yield


@pytest.fixture(params=NAMES)
def quantizer(request):
    torch.manual_seed(0)
    return QUANTIZERS[request.param](SIZE, LATENT_DIM).eval()


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def test_settings_know_every_quantizer():
    assert set(CODES) == set(QUANTIZERS)


@pytest.mark.parametrize("size", FSQ_LEVELS)
def test_settings_know_how_many_codes_there_are(name, size):
    assert QUANTIZERS[name](size, LATENT_DIM).codebook_size == CODES[name](size)


def test_tokens_are_those_of_the_codes(quantizer):
    latents = draw_latents(0)
    codes, tokens, loss = quantizer(latents)
    assert tokens.dtype == torch.int64 and tokens.shape == (2, 5, 7) and loss.shape == ()
    assert tokens.min() >= 0 and tokens.max() < quantizer.codebook_size
    torch.testing.assert_close(codes, quantizer.lookup(tokens), atol=1e-6, rtol=0)
    assert torch.equal(quantizer.tokenize(latents), tokens)


def test_a_token_depends_on_the_latent_at_its_place_alone(quantizer):
    latents = draw_latents(0)
    changed = latents.clone()
    changed[0, :, 2, 3] += 10
    same = quantizer.tokenize(latents) == quantizer.tokenize(changed)
    assert not same[0, 2, 3] and same.sum() == same.numel() - 1


def test_no_code_is_a_code_of_zeros(quantizer):
    codes = quantizer.lookup(torch.tensor([[[3, quantizer.codebook_size]]]))
    assert codes.shape == (1, LATENT_DIM, 1, 2)
    assert codes[0, :, 0, 0].any() and not codes[0, :, 0, 1].any()


def test_unit_vectors_have_length_one_and_tell_the_codes_apart(quantizer):
    vectors = quantizer.unit_vectors
    assert len(vectors) == quantizer.codebook_size
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(vectors)))
    assert len(vectors.unique(dim=0)) == len(vectors)


def test_a_gradient_reaches_the_latents(quantizer):
    latents = draw_latents(0).requires_grad_()
    weights = draw_latents(1)
    (quantizer(latents).codes * weights).sum().backward()
    assert (latents.grad != 0).any(dim=1).all()


def test_evaluation_changes_nothing(quantizer):
    before = {name: value.clone() for name, value in quantizer.state_dict().items()}
    quantizer(draw_latents(0), torch.ones(2, 1, 5, 7))
    assert all(torch.equal(before[name], value) for name, value in quantizer.state_dict().items())


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32))
def test_latents_move_only_where_there_is_a_distance(seed):
    for kind in QUANTIZERS.values():
        torch.manual_seed(0)
        quantizer, latents = kind(SIZE, LATENT_DIM).eval(), draw_latents(seed)
        distance = torch.zeros(2, 1, 5, 7)
        distance[0] = 2.0
        moved, still = quantizer(latents, distance), quantizer(latents)
        torch.testing.assert_close(moved.codes, quantizer.lookup(moved.tokens), atol=1e-6, rtol=0)
        assert torch.equal(moved.tokens[1], still.tokens[1])
        assert not torch.equal(moved.tokens[0], still.tokens[0])


def test_a_saved_quantizer_goes_on_as_it_would_have(name):
    torch.manual_seed(0)
    first, second = (QUANTIZERS[name](SIZE, LATENT_DIM).train() for _ in range(2))
    for seed in range(3):
        first(draw_latents(seed))
    second.load_state_dict(first.state_dict())
    for quantizer in (first, second):
        torch.manual_seed(1)
        quantizer(draw_latents(9))
    tokens = [quantizer.eval().tokenize(draw_latents(10)) for quantizer in (first, second)]
    assert torch.equal(*tokens)


def test_a_tokenizer_with_it_is_saved_and_loaded(name):
    config = {"channels": 16, "decoder_blocks": 1, "latent_dim": 4, "codebook_size": SIZE}
    config["quantizer"] = name
    model = VQGAN(**config).eval()
    loaded = restore(checkpoint_of(config, model), tokenizer_kinds()).cpu()
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    tokens = model.encode(images)
    assert torch.equal(loaded.encode(images), tokens)
    assert torch.equal(loaded.decode(tokens), model.decode(tokens))


# kmeans


def test_the_gradient_of_kmeans_is_that_of_the_unit_latents():
    codebook = KMeans(8, 4).eval()
    latents = torch.randn(1, 4, 3, 3, requires_grad=True)
    weights = torch.randn(1, 4, 3, 3)
    (codebook(latents).codes * weights).sum().backward()
    unit = latents.detach().clone().requires_grad_()
    (F.normalize(unit, dim=1) * weights).sum().backward()
    torch.testing.assert_close(latents.grad, unit.grad)


def test_the_nearest_code_is_the_nearest_by_distance_too():
    codebook = KMeans(32, 8)
    latents = F.normalize(torch.randn(50, 8), dim=1)
    distance = torch.cdist(latents, codebook.embedding)
    assert torch.equal(codebook.nearest(latents), distance.argmin(dim=1))


def test_the_codebook_starts_from_the_data_and_follows_it():
    torch.manual_seed(0)
    centres = F.normalize(torch.randn(4, 8), dim=1)
    codebook = KMeans(16, 8).train()
    for _ in range(300):
        data = centres[torch.randint(4, (256,))] + 0.02 * torch.randn(256, 8)
        codebook(data.T.reshape(1, 8, 16, 16))
    gap = torch.cdist(centres, codebook.embedding).min(dim=1).values
    assert gap.max() < 0.1
    assert torch.allclose(codebook.embedding.norm(dim=1), torch.ones(16))


def test_dead_codes_are_restarted():
    torch.manual_seed(0)
    codebook = KMeans(16, 8).train()
    data = F.normalize(torch.randn(1, 8, 32, 32), dim=1)
    codebook(data)
    codebook.embedding[3] = -data[0, :, 0, 0]  # where no data is
    codebook.total[3] = codebook.embedding[3] * 1e-3
    codebook.count[3] = 1e-3
    codebook(data)
    used = codebook.eval()(data).tokens
    assert (used == 3).any()


# fsq


def test_every_combination_of_levels_is_a_code():
    quantizer = FSQ(256, LATENT_DIM)
    levels = [[(i - n // 2) / (n // 2) for i in range(n)] for n in FSQ_LEVELS[256]]
    torch.testing.assert_close(quantizer.grid, torch.tensor(list(product(*levels))))


def test_the_outermost_levels_are_reached_and_none_beyond_them():
    quantizer = FSQ(1024, 4)
    with torch.no_grad():
        quantizer.from_latents.weight.copy_(torch.eye(4))
        quantizer.from_latents.bias.zero_()
    corners = torch.tensor([list(product([-50.0, 50.0], repeat=4))]).permute(0, 2, 1)[..., None]
    found = quantizer.grid[quantizer.tokenize(corners).flatten()].unique(dim=0)
    assert (
        len(found) == 16
        and found.min() == -1
        and (found[-1] == torch.tensor([0.75, 1, 1, 1])).all()
    )


def test_a_size_without_levels_is_refused():
    with pytest.raises(ValueError, match=r"fsq takes a codebook_size of 16, .* or 16384, not 1000"):
        FSQ(1000, LATENT_DIM)


# that of the page


def test_settings_refuse_a_number_of_codes_that_the_pages_quantizer_cannot_have():
    assert TokenizerConfig(quantizer=EXAMPLE, codebook_size=512).codebook_size == 512
    with pytest.raises(ValueError, match="signs takes a power of two, not 1000"):
        TokenizerConfig(quantizer=EXAMPLE, codebook_size=1000)
