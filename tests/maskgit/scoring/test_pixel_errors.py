import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from maskgit.scoring.pixel_errors import PSNR_CAP, l1, psnr, ssim

each = pytest.mark.parametrize("error", [psnr, ssim, l1])


def test_full_hole_gives_the_usual_scores_of_whole_images(images):
    output, truth = images
    everywhere = np.ones((4, 32, 24), dtype=bool)
    expected = [peak_signal_noise_ratio(*pair) for pair in zip(truth, output, strict=True)]
    np.testing.assert_allclose(psnr(output, truth, everywhere), expected)
    expected = np.abs(output.astype(float) - truth).mean(axis=(1, 2, 3)) / 255
    np.testing.assert_allclose(l1(output, truth, everywhere), expected)


def test_ssim_is_the_published_one(images):
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
    np.testing.assert_allclose(ssim(output, truth, hole), expected)


def test_known_value(hole):
    truth = np.full((4, 32, 24, 3), 100, dtype=np.uint8)
    output = truth + np.uint8(51)
    np.testing.assert_allclose(l1(output, truth, hole), 0.2)
    np.testing.assert_allclose(psnr(output, truth, hole), -20 * np.log10(0.2))


def test_perfect_fill(images, hole):
    _, truth = images
    np.testing.assert_array_equal(psnr(truth, truth, hole), PSNR_CAP)
    np.testing.assert_allclose(ssim(truth, truth, hole), 1)
    np.testing.assert_array_equal(l1(truth, truth, hole), 0)


@pytest.mark.parametrize("error", [psnr, l1])
def test_known_pixels_do_not_count_for_psnr_and_l1(error, images, hole):
    output, truth = images
    pasted = np.where(hole[..., None], output, truth)
    np.testing.assert_array_equal(error(output, truth, hole), error(pasted, truth, hole))


def test_worst_fill(hole):
    black = np.zeros((4, 32, 24, 3), dtype=np.uint8)
    white = black + np.uint8(255)
    np.testing.assert_allclose(psnr(black, white, hole), 0, atol=1e-12)
    np.testing.assert_allclose(l1(black, white, hole), 1)
    np.testing.assert_allclose(ssim(black, white, hole), 0, atol=1e-3)


@each
@pytest.mark.filterwarnings("error")
def test_image_without_a_hole_is_nan_and_the_others_are_as_before(error, images, hole):
    expected = error(*images, hole)
    hole[1] = False
    values = error(*images, hole)
    assert np.isnan(values[1])
    np.testing.assert_array_equal(np.delete(values, 1), np.delete(expected, 1))


@each
def test_of_no_images_there_are_no_errors(error):
    none = np.zeros((0, 32, 24, 3), dtype=np.uint8)
    assert error(none, none, np.zeros((0, 32, 24), dtype=bool)).shape == (0,)


@each
def test_wrong_arrays_are_refused(error, images, hole):
    output, truth = images
    with pytest.raises(ValueError, match="uint8"):
        error(output / 255, truth, hole)
    with pytest.raises(ValueError, match="bool"):
        error(output, truth, hole.astype(np.uint8))
    with pytest.raises(ValueError, match="N, H, W"):
        error(output, truth, hole[:, :-1])
