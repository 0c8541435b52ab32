import numpy as np
import pytest
import torch

from maskgit.perception import PerceptualLoss, efficientnet_lite
from maskgit.pixels import to_float
from maskgit.scoring.perceptual_errors import perceptual_errors

CPU = torch.device("cpu")


@pytest.mark.parametrize("network", ["efficientnet_lite0", "efficientnet_lite2"])
def test_a_hole_that_is_everything_gives_the_loss_of_training(images, network):
    output, truth = images
    everywhere = np.ones(truth.shape[:3], dtype=bool)
    found = perceptual_errors(output, truth, everywhere, network)
    layers = PerceptualLoss(network)
    for i in range(4):
        pair = (to_float(each[i : i + 1], CPU) for each in (output, truth))
        expected = layers.distance(*map(layers.features, pair))
        assert found[i] == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("network", ["efficientnet_lite0", "efficientnet_lite2"])
def test_features_down_to_an_eighth_of_the_size_count(network):
    layers = PerceptualLoss(network)
    sizes = [maps.shape[2] for maps in layers.features(torch.rand(1, 3, 64, 64))]
    assert sizes[0] == 32 and sizes[-1] == 8 and set(sizes) == {32, 16, 8}
    following = efficientnet_lite(network)._blocks[len(layers.blocks)]
    assert following._depthwise_conv.stride[0] == 2  # the next would have a sixteenth


def test_equal_images_have_none_and_worse_ones_more(images, hole):
    output, truth = images
    black = np.where(hole[..., None], 0, truth).astype(np.uint8)
    slight, gross = (perceptual_errors(x, truth, hole) for x in (output, black))
    np.testing.assert_array_equal(perceptual_errors(truth, truth, hole), 0)
    assert (slight > 0).all() and (gross > slight).all()


def test_what_happens_far_from_the_hole_does_not_count():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 256, (1, 128, 128, 3), dtype=np.uint8)
    hole = np.zeros((1, 128, 128), dtype=bool)
    hole[:, :24, :24] = True
    output = truth.copy()
    output[:, 100:, 100:] = 0  # beyond what the early layers see from the hole
    assert perceptual_errors(output, truth, hole)[0] == pytest.approx(0, abs=1e-6)


def test_an_image_without_a_hole_is_nan_and_none_are_none(images, hole):
    hole[1] = False
    found = perceptual_errors(*images, hole)
    np.testing.assert_array_equal(np.isnan(found), [False, True, False, False])
    assert perceptual_errors(images[0][:0], images[1][:0], hole[:0]).shape == (0,)


def test_an_images_own_error_does_not_depend_on_the_others(images, hole):
    output, truth = (np.concatenate([x] * 5) for x in images)
    many = perceptual_errors(output, truth, np.concatenate([hole] * 5))
    np.testing.assert_allclose(many[16:], perceptual_errors(*images, hole), rtol=1e-5)
