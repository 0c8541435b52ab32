import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import nn

from maskgit.device import to_float
from maskgit.perception import PerceptualLoss
from maskgit.scoring.distances import frechet_distance, kernel_distance
from maskgit.scoring.features import efficientnet_lite0
from maskgit.scoring.image_scores import (
    PSNR_CAP,
    hole_errors,
    lpips_errors,
    perceptual_errors,
    score_fills,
    score_images,
)

CPU = torch.device("cpu")


@pytest.fixture
def images():
    """Four random images and their noisy copies."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (4, 32, 24, 3), dtype=np.uint8)
    noise = rng.integers(-20, 21, truth.shape)
    return np.clip(truth + noise, 0, 255).astype(np.uint8), truth


@pytest.fixture
def hole():
    hole = np.zeros((4, 32, 24), dtype=bool)
    hole[:, 8:24, 6:18] = True
    return hole


class TestHoleErrors:
    def test_full_hole_gives_the_usual_scores_of_whole_images(self, images):
        output, truth = images
        errors = hole_errors(output, truth, np.ones((4, 32, 24), dtype=bool))
        for i in range(4):
            assert errors["psnr_hole"][i] == pytest.approx(
                peak_signal_noise_ratio(truth[i], output[i])
            )
            difference = output[i].astype(float) - truth[i]
            assert errors["l1_hole"][i] == pytest.approx(np.abs(difference).mean() / 255)

    def test_ssim_is_the_published_one(self, images):
        """skimage's mean leaves out a rim of 5 pixels; so does this hole."""
        output, truth = images
        hole = np.zeros((4, 32, 24), dtype=bool)
        hole[:, 5:-5, 5:-5] = True
        expected = [
            structural_similarity(
                *pair,
                channel_axis=2,
                data_range=255,
                gaussian_weights=True,
                use_sample_covariance=False,
            )
            for pair in zip(output, truth, strict=True)
        ]
        np.testing.assert_allclose(hole_errors(output, truth, hole)["ssim_hole"], expected)

    def test_known_value(self, hole):
        truth = np.full((4, 32, 24, 3), 100, dtype=np.uint8)
        errors = hole_errors(truth + np.uint8(51), truth, hole)
        np.testing.assert_allclose(errors["l1_hole"], 0.2)
        np.testing.assert_allclose(errors["psnr_hole"], -20 * np.log10(0.2))

    def test_perfect_fill(self, images, hole):
        _, truth = images
        errors = hole_errors(truth, truth, hole)
        np.testing.assert_array_equal(errors["psnr_hole"], PSNR_CAP)
        np.testing.assert_allclose(errors["ssim_hole"], 1)
        np.testing.assert_array_equal(errors["l1_hole"], 0)

    def test_known_pixels_do_not_count_for_psnr_and_l1(self, images, hole):
        output, truth = images
        pasted = np.where(hole[..., None], output, truth)
        before, after = hole_errors(output, truth, hole), hole_errors(pasted, truth, hole)
        np.testing.assert_array_equal(before["psnr_hole"], after["psnr_hole"])
        np.testing.assert_array_equal(before["l1_hole"], after["l1_hole"])

    def test_worst_fill(self, hole):
        black = np.zeros((4, 32, 24, 3), dtype=np.uint8)
        errors = hole_errors(black, black + np.uint8(255), hole)
        np.testing.assert_allclose(errors["psnr_hole"], 0, atol=1e-12)
        np.testing.assert_allclose(errors["l1_hole"], 1)
        np.testing.assert_allclose(errors["ssim_hole"], 0, atol=1e-3)

    @pytest.mark.filterwarnings("error")
    def test_image_without_a_hole_is_nan_and_the_others_are_as_before(self, images, hole):
        expected = hole_errors(*images, hole)
        hole[1] = False
        for name, values in hole_errors(*images, hole).items():
            assert np.isnan(values[1])
            np.testing.assert_array_equal(np.delete(values, 1), np.delete(expected[name], 1))

    def test_no_images(self):
        none = np.zeros((0, 32, 24, 3), dtype=np.uint8)
        errors = hole_errors(none, none, np.zeros((0, 32, 24), dtype=bool))
        assert {name: values.shape for name, values in errors.items()} == {
            "psnr_hole": (0,),
            "ssim_hole": (0,),
            "l1_hole": (0,),
        }

    def test_refuses_wrong_arrays(self, images, hole):
        output, truth = images
        with pytest.raises(ValueError, match="uint8"):
            hole_errors(output / 255, truth, hole)
        with pytest.raises(ValueError, match="bool"):
            hole_errors(output, truth, hole.astype(np.uint8))
        with pytest.raises(ValueError, match="N, H, W"):
            hole_errors(output, truth, hole[:, :-1])


class TestPerceptualErrors:
    def test_a_hole_that_is_everything_gives_the_loss_of_training(self, images):
        output, truth = images
        everywhere = np.ones(truth.shape[:3], dtype=bool)
        found = perceptual_errors(output, truth, everywhere)
        loss = PerceptualLoss()
        for i in range(4):
            expected = loss(to_float(output[i : i + 1], CPU), to_float(truth[i : i + 1], CPU))
            assert found[i] == pytest.approx(expected.item(), rel=1e-4)

    def test_equal_images_have_none_and_worse_ones_more(self, images, hole):
        output, truth = images
        black = np.where(hole[..., None], 0, truth).astype(np.uint8)
        slight, gross = (perceptual_errors(x, truth, hole) for x in (output, black))
        np.testing.assert_array_equal(perceptual_errors(truth, truth, hole), 0)
        assert (slight > 0).all() and (gross > slight).all()

    def test_what_happens_far_from_the_hole_does_not_count(self):
        rng = np.random.default_rng(1)
        truth = rng.integers(0, 256, (1, 128, 128, 3), dtype=np.uint8)
        hole = np.zeros((1, 128, 128), dtype=bool)
        hole[:, :24, :24] = True
        output = truth.copy()
        output[:, 100:, 100:] = 0  # beyond what the early layers see from the hole
        assert perceptual_errors(output, truth, hole)[0] == pytest.approx(0, abs=1e-6)

    def test_an_image_without_a_hole_is_nan_and_none_are_none(self, images, hole):
        hole[1] = False
        found = perceptual_errors(*images, hole)
        np.testing.assert_array_equal(np.isnan(found), [False, True, False, False])
        assert perceptual_errors(images[0][:0], images[1][:0], hole[:0]).shape == (0,)

    def test_an_images_own_error_does_not_depend_on_the_others(self, images, hole):
        output, truth = (np.concatenate([x] * 5) for x in images)
        many = perceptual_errors(output, truth, np.concatenate([hole] * 5))
        np.testing.assert_allclose(many[16:], perceptual_errors(*images, hole), rtol=1e-5)


def test_every_column_averages_to_its_score(images, hole):
    output, truth = images
    lite = efficientnet_lite0()
    features, true_features = lite(output), lite(truth)
    columns = score_images(output, truth, hole, true_features, lite)
    assert all(column.shape == (4,) for column in columns.values())
    means = {name: column.mean() for name, column in columns.items()}
    assert means["fd_efficientnet_lite0"] == pytest.approx(
        frechet_distance(features, true_features), rel=1e-6
    )
    assert means["kd_efficientnet_lite0"] == pytest.approx(
        kernel_distance(features, true_features, paired=True).value, rel=1e-6
    )
    inside = ["psnr_hole", "ssim_hole", "l1_hole", "perceptual_hole"]
    of_sets = [f"{kind}_efficientnet_lite0" for kind in ("fd", "kd", "p_ids_cv", "u_ids_cv")]
    assert list(columns) == [*of_sets, *inside]


def test_scores_of_several_fills_are_their_means(images, hole):
    output, truth = images
    lite = efficientnet_lite0()
    features = lite(truth)
    one, other = (score_images(fill, truth, hole, features, lite) for fill in (output, truth))
    both = score_fills([output, truth], truth, hole, features, lite)
    apart = both.pop("diversity_hole")
    assert list(both) == list(one)
    for name, column in both.items():
        np.testing.assert_allclose(column, (one[name] + other[name]) / 2)
    np.testing.assert_allclose(apart, perceptual_errors(output, truth, hole))


def test_one_fill_has_no_diversity_and_equal_ones_none_to_show(images, hole):
    output, truth = images
    lite = efficientnet_lite0()
    features = lite(truth)
    alone = score_fills([output], truth, hole, features, lite)
    assert list(alone) == list(score_images(output, truth, hole, features, lite))
    twice = score_fills([output, output], truth, hole, features, lite)
    assert (twice["diversity_hole"] == 0).all()


def test_lpips_is_a_column_where_its_network_is_at_hand(images, hole):
    class Network(nn.Module):  # the real one is tested in test_lpips_network.py
        def forward(self, a, b):
            return (a - b).square().mean(dim=(1, 2, 3), keepdim=True)

    network = Network()
    output, truth = images
    hole[1] = False
    lite = efficientnet_lite0()
    features = lite(truth)
    columns = score_fills([output, truth], truth, hole, features, lite, lpips=network)
    assert list(columns)[-2:] == ["lpips", "diversity_hole"]
    np.testing.assert_allclose(
        columns["lpips"], lpips_errors(output, truth, hole, network) / 2, equal_nan=True
    )
    np.testing.assert_array_equal(np.isnan(columns["lpips"]), [False, True, False, False])
