import torch

from maskgit.checkpoints import checkpoint_of, restore
from maskgit.data.known_pixels import mask_pixels
from maskgit.transformer.guidance import without_guide
from maskgit.transformer.model import MaskedTransformer
from tests.trainings import assert_equal_weights

TOKENS = torch.arange(2 * 256).reshape(2, 256) % 33


def embed_and_predict(transformer, **guidance):
    torch.manual_seed(1)
    hole = torch.rand(2, 64, 64) < 0.3
    known = mask_pixels(torch.rand(2, 3, 64, 64) * 2 - 1, hole)
    return transformer(TOKENS, transformer.embed_known_pixels(known, **guidance), **guidance)


def test_guidance_goes_on_from_the_guide_through_the_trained_one(guided_models):
    _, guided = guided_models
    trained, guide = embed_and_predict(guided.trained), embed_and_predict(guided.guide)
    assert not torch.allclose(trained, guide)
    torch.testing.assert_close(embed_and_predict(guided, guidance=0.5), 1.5 * trained - 0.5 * guide)


def test_some_places_are_as_among_all(guided_models):
    _, guided = guided_models
    where = torch.rand(2, 256) < 0.5
    some, every = guided(TOKENS, where=where, guidance=0.5), guided(TOKENS, guidance=0.5)
    torch.testing.assert_close(some, every[where])


def test_without_guidance_it_is_the_trained_one_alone(guided_models):
    _, guided = guided_models
    assert torch.equal(embed_and_predict(guided), embed_and_predict(guided.trained))


def test_a_file_without_its_guide_holds_the_trained_one(guided_models):
    _, guided = guided_models
    config = {"codebook_size": 32, "latent_dim": 4, "dim": 16, "heads": 2, "layers": 1}
    whole = checkpoint_of(config, guided)
    alone = restore(without_guide(whole), [MaskedTransformer]).cpu()
    assert_equal_weights(alone, guided.trained)
    # The memory layouts differ, and with them the last bits of convolutions on some processors.
    torch.testing.assert_close(embed_and_predict(alone), embed_and_predict(guided.trained))
    plain = checkpoint_of(config, guided.trained)
    assert without_guide(plain) is plain
