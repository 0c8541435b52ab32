"""The laws of filling, on a small network with random weights: they hold for any weights."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from maskgit.feed_forward.filling import fill_holes
from maskgit.feed_forward.unet import UNet
from tests.holed_images import batches, seeds

few = settings(max_examples=15)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    model = UNet(channels=(32, 32, 64), coarse_blocks=1)
    for parameter in model.parameters():  # its residual blocks start as the identity
        torch.nn.init.normal_(parameter, std=0.1)
    return model


@few
@given(batch=batches())
def test_known_pixels_come_back_bit_for_bit(network, batch):
    images, hole = batch
    result = fill_holes(network, images, hole)
    assert result.dtype == np.uint8 and result.shape == images.shape
    assert np.array_equal(result[~hole], images[~hole])


@few
@given(batch=batches(), seed=seeds)
def test_pixels_under_the_hole_never_matter(network, batch, seed):
    images, hole = batch
    noise = np.random.default_rng(seed).integers(256, size=images.shape, dtype=np.uint8)
    others = np.where(hole[..., None], noise, images)
    assert np.array_equal(fill_holes(network, images, hole), fill_holes(network, others, hole))


@few
@given(batch=batches(least=2))
def test_an_image_does_not_depend_on_its_batch(network, batch):
    images, hole = batch
    together = fill_holes(network, images, hole)
    for i in range(len(images)):
        alone = fill_holes(network, images[i : i + 1], hole[i : i + 1])
        assert np.array_equal(alone[0], together[i])


def test_the_fill_follows_the_known_pixels(network):
    images = np.random.default_rng(0).integers(256, size=(1, 64, 64, 3), dtype=np.uint8)
    hole = np.zeros((1, 64, 64), dtype=bool)
    hole[:, 24:40, 24:40] = True
    one, other = (fill_holes(network, each, hole)[hole] for each in (images, 255 - images))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("shape", [(16, 16), (30, 42), (2, 66)])
def test_any_even_height_and_width_is_filled(network, shape):
    images = np.zeros((1, *shape, 3), dtype=np.uint8)
    hole = np.ones((1, *shape), dtype=bool)
    assert fill_holes(network, images, hole).shape == images.shape
