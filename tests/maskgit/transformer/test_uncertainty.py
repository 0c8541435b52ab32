import numpy as np
import pytest
import torch

from maskgit.transformer.masking import Holes
from maskgit.transformer.model import MaskedTransformer
from maskgit.transformer.uncertainty import SHARES, uncertainty_curve

CODES, IMAGES = 32, 65  # the second batch has one


@pytest.fixture(scope="module")
def task():
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(IMAGES, 16, 16, 3), dtype=np.uint8)
    pixels = np.zeros((3, 16, 16), dtype=bool)
    pixels[0, :8], pixels[1, 4:, 4:], pixels[2, 3:9, 2:14] = True, True, True
    covered = pixels.reshape(3, 4, 4, 4, 4).any(axis=(2, 4)).reshape(3, 16)
    tokens = rng.integers(CODES, size=(IMAGES, 16)).astype(np.uint16)
    return images, tokens, Holes(*map(torch.from_numpy, (pixels, covered, covered)))


def model():
    torch.manual_seed(0)
    return MaskedTransformer(
        codebook_size=CODES, latent_dim=4, grid=4, cell=4, dim=16, heads=2, layers=1
    ).eval()


def test_who_knows_nothing_pays_the_same_at_every_share(task):
    curve = uncertainty_curve(model(), *task, seed=0)  # a new model guesses evenly
    assert curve.shape == SHARES.shape
    assert curve == pytest.approx(np.full(len(SHARES), np.log(CODES)), rel=1e-5)


def test_who_copies_what_is_decided_pays_for_what_is_not(task):
    """All tokens of an image alike; a model that believes what it sees, and else guesses."""
    images, tokens, holes = task
    alike = np.repeat(tokens[:, :1], 16, axis=1)

    class Copies(MaskedTransformer):
        def forward(self, tokens, pixel_embedding=None, where=None):
            counts = torch.nn.functional.one_hot(tokens, CODES + 1)[..., :CODES].sum(dim=1)
            logits = counts[:, None].expand(-1, tokens.shape[1], -1).float()
            return logits if where is None else logits[where]

    copies = Copies(codebook_size=CODES, latent_dim=4, grid=4, cell=4, dim=16, heads=2, layers=1)
    curve = uncertainty_curve(copies, images, alike, holes, seed=0)
    assert (np.diff(curve) > 0).all()
    assert np.array_equal(curve, uncertainty_curve(copies, images, alike, holes, seed=0))
