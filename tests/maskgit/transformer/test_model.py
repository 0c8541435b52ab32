import math

import pytest
import torch
import torch.nn.functional as F

from maskgit.data.known_pixels import mask_pixels
from maskgit.transformer.masking import Example, cells_to_pixels
from maskgit.transformer.model import MaskedTransformer, SelfAttention, masked_token_loss, norm


def randomised(model):
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


@pytest.fixture(params=[4, 0], ids=["pixels", "tokens_only"])
def model(request):
    torch.manual_seed(0)
    model = MaskedTransformer(
        codebook_size=20, latent_dim=4, grid=4, cell=request.param, dim=16, heads=2, layers=2
    )
    return randomised(model).eval()


def example_of(tokens, hidden):
    """A picture of noise, known outside the hidden cells."""
    hole = cells_to_pixels(hidden, 16)
    known = mask_pixels(torch.rand(len(tokens), 3, 16, 16) * 2 - 1, hole)
    return Example(tokens, hidden, hidden, known, torch.ones(len(tokens), dtype=torch.bool))


def test_attention_is_softmax_of_qk_times_v():
    torch.manual_seed(0)
    attention = SelfAttention(24, 3, dropout=0.0)
    x = torch.randn(2, 10, 24)

    def heads(layer):
        return layer(x).reshape(2, 10, 3, 8).permute(0, 2, 1, 3)

    q, k, v = (
        norm(heads(attention.query)),
        norm(heads(attention.key)),
        heads(attention.value),
    )
    weights = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(8), dim=-1)
    plain = attention.output((weights @ v).permute(0, 2, 1, 3).reshape(2, 10, 24))
    torch.testing.assert_close(attention(x), plain)


def test_attention_drops_out_only_in_training():
    torch.manual_seed(0)
    attention = SelfAttention(8, 2, dropout=0.5)
    x = torch.randn(1, 6, 8)
    assert not torch.equal(attention.train()(x), attention.train()(x))
    assert torch.equal(attention.eval()(x), attention.eval()(x))


def test_every_token_sees_every_other(model):
    tokens = torch.randint(20, (1, 16))
    changed = tokens.clone()
    changed[0, 15] = (changed[0, 15] + 1) % 20
    difference = (model(tokens) - model(changed)).abs().amax(dim=2)[0]
    assert (difference > 0).all()


def test_the_mask_token_is_outside_the_codebook_and_never_predicted(model):
    tokens = torch.full((1, 16), model.mask_token)
    assert model.mask_token == 20
    assert model(tokens).shape == (1, 16, 20)


def test_logits_of_some_places_are_those_of_all(model):
    tokens = torch.randint(21, (3, 16))
    where = torch.rand(3, 16) < 0.5
    torch.testing.assert_close(model(tokens, where=where), model(tokens)[where])


def test_a_fresh_model_guesses_uniformly():
    model = MaskedTransformer(codebook_size=20, latent_dim=4, grid=4, dim=16, heads=2, layers=1)
    tokens = torch.randint(20, (2, 16))
    loss = masked_token_loss(model, example_of(tokens, torch.rand(2, 16) < 0.5))
    assert loss.item() == pytest.approx(math.log(20))


def test_the_loss_is_the_cross_entropy_of_the_hidden_tokens_alone(model):
    tokens = torch.randint(20, (2, 16))
    hidden = torch.zeros(2, 16, dtype=torch.bool)
    hidden[0, 3] = hidden[1, 5] = True
    example = example_of(tokens, hidden)
    logits = model(tokens.masked_fill(hidden, 20), model.embed_known_pixels(example.known))
    one, two = logits[0, 3].log_softmax(0)[tokens[0, 3]], logits[1, 5].log_softmax(0)[tokens[1, 5]]
    assert masked_token_loss(model, example).item() == pytest.approx(-(one + two).item() / 2)


def test_hidden_tokens_cannot_leak(model):
    tokens = torch.randint(20, (2, 16))
    hidden = torch.rand(2, 16) < 0.5
    others = torch.where(hidden, torch.randint(20, (2, 16)), tokens)
    assert torch.equal(model(model.hide(tokens, hidden)), model(model.hide(others, hidden)))


def test_a_place_sees_its_own_cell_and_half_a_cell_around():
    torch.manual_seed(0)
    model = randomised(
        MaskedTransformer(codebook_size=20, latent_dim=4, grid=4, dim=16, heads=2, layers=1)
    )
    known = mask_pixels(torch.zeros(1, 3, 16, 16), torch.zeros(1, 16, 16, dtype=torch.bool))
    changed = known.clone()
    changed[0, 0, 6, 10] = 1.0  # in the cell of place 6, the corner that three others see, too
    difference = (
        (model.embed_known_pixels(known) - model.embed_known_pixels(changed))[0].abs().amax(dim=1)
    )
    assert difference.nonzero().flatten().tolist() == [6, 7, 10, 11]


def test_a_model_of_tokens_only_sees_nothing():
    assert (
        MaskedTransformer(
            codebook_size=20, latent_dim=4, grid=4, cell=0, dim=16, heads=2
        ).embed_known_pixels(None)
        is None
    )


def test_codes_that_look_alike_get_alike_logits_from_the_codebook():
    torch.manual_seed(0)
    model = randomised(
        MaskedTransformer(codebook_size=3, latent_dim=4, grid=2, dim=16, heads=2, layers=1)
    ).eval()
    torch.nn.init.zeros_(model.head.weight)
    torch.nn.init.zeros_(model.head.bias)
    code = F.normalize(torch.randn(4), dim=0)
    model.set_codebook(torch.stack([code, code, -code]))
    logits = model(torch.full((1, 4), 3))
    torch.testing.assert_close(logits[..., 0], logits[..., 1])
    assert not torch.allclose(logits[..., 0], logits[..., 2])
