import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from maskgit.scoring import PSNR_CAP, frechet_distance, hole_errors
from maskgit.torchvision_import import import_torchvision


def features(seed, n, d, shift=0.0):
    """Correlated Gaussian features, so that covariances are not close to a multiple of 1."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + shift


class TestFrechetDistance:
    @pytest.mark.parametrize(("n_a", "n_b", "d"), [(60, 60, 16), (40, 90, 30), (17, 500, 16)])
    def test_equals_pytorch_fid_where_covariances_have_full_rank(self, n_a, n_b, d):
        import_torchvision()
        from pytorch_fid.fid_score import calculate_frechet_distance

        a, b = features(0, n_a, d), features(1, n_b, d, shift=0.5)
        expected = calculate_frechet_distance(
            a.mean(0), np.cov(a, rowvar=False), b.mean(0), np.cov(b, rowvar=False)
        )
        assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)

    @pytest.mark.parametrize(("n", "d"), [(10, 200), (200, 10)])
    def test_closed_forms(self, n, d):
        a = features(2, n, d)
        shift = np.linspace(-1, 1, d)
        spread = np.trace(np.cov(a, rowvar=False))
        assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9 * spread)
        assert frechet_distance(a, a + shift) == pytest.approx(shift @ shift)
        # Tripling about the mean: Tr(S) + 9 Tr(S) - 2 * 3 Tr(S).
        assert frechet_distance(a, 3 * a - 2 * a.mean(0)) == pytest.approx(4 * spread)

    def test_one_dimension(self):
        a, b = features(3, 50, 1), features(4, 70, 1)
        expected = (a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2
        assert frechet_distance(a, b) == pytest.approx(expected)

    @settings(max_examples=25)
    @given(seed=st.integers(0, 10**6), n_a=st.integers(2, 40), n_b=st.integers(2, 40))
    def test_symmetric_finite_and_blind_to_rotation(self, seed, n_a, n_b):
        a, b = features(seed, n_a, 12), features(seed + 1, n_b, 12)
        distance = frechet_distance(a, b)
        rotation, _ = np.linalg.qr(features(seed + 2, 12, 12))
        assert np.isfinite(distance)
        assert distance >= 0
        assert frechet_distance(b, a) == pytest.approx(distance, rel=1e-9, abs=1e-9)
        assert frechet_distance(a @ rotation, b @ rotation) == pytest.approx(distance, rel=1e-9)

    def test_both_routes_agree_beside_each_other(self):
        """Features that are zero change nothing, but make N < D out of N > D."""
        a, b = features(5, 30, 8), features(6, 25, 8)
        padded = [np.pad(x, ((0, 0), (0, 50))) for x in (a, b)]
        assert frechet_distance(*padded) == pytest.approx(frechet_distance(a, b))

    def test_float32_input_is_computed_in_double(self):
        a = (features(7, 20, 40) + 1e4).astype(np.float32)
        b = (features(8, 20, 40) + 1e4).astype(np.float32)
        assert frechet_distance(a, b) == frechet_distance(a.astype(float), b.astype(float))

    @pytest.mark.parametrize(
        ("a", "b"),
        [
            (np.zeros((1, 3)), np.zeros((5, 3))),
            (np.zeros((5, 3)), np.zeros((5, 4))),
            (np.zeros(5), np.zeros(5)),
            (np.full((5, 3), np.nan), np.zeros((5, 3))),
        ],
    )
    def test_refuses_what_has_no_distance(self, a, b):
        with pytest.raises(ValueError, match="features must be"):
            frechet_distance(a, b)


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
