"""Fréchet and kernel distance, and what each image contributes to them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskgit.scoring.distances import frechet_distance, kernel_distance
from maskgit.scoring.intervals import mean_interval
from maskgit.scoring.torchvision_import import import_torchvision


def features(seed, n, d, shift=0.0):
    """Correlated Gaussian features, so that covariances are not close to a multiple of 1."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + shift


@pytest.mark.parametrize(
    "distance", [frechet_distance, lambda a, b: kernel_distance(a, b, paired=False)]
)
@pytest.mark.parametrize(("n_a", "n_b", "d"), [(9, 12, 30), (40, 25, 6), (9, 40, 20)])
class TestInfluence:
    def test_is_the_derivative_by_an_images_weight(self, distance, n_a, n_b, d):
        """Against weighted statistics written out: the distance if image i counted more."""
        a, b = features(0, n_a, d) / d, features(1, n_b, d, shift=0.3) / d
        weighted = weighted_frechet if distance is frechet_distance else weighted_kernel
        uniform_a, uniform_b = np.full(n_a, 1 / n_a), np.full(n_b, 1 / n_b)
        found = distance(a, b)
        assert weighted(a, b, uniform_a, uniform_b) == pytest.approx(found.value, rel=1e-9)
        step = 1e-5
        for i in (0, 3, 7):
            for side, influence in enumerate((found.influence_a, found.influence_b)):
                ends = []
                for sign in (1, -1):
                    weights = [uniform_a.copy(), uniform_b.copy()]
                    weights[side] *= 1 - sign * step
                    weights[side][i] += sign * step
                    ends.append(weighted(a, b, *weights))
                slope = (ends[0] - ends[1]) / (2 * step)
                assert influence[i] == pytest.approx(slope, rel=1e-4, abs=1e-6 * found.value)

    def test_sums_to_zero_and_pseudo_values_average_to_the_distance(self, distance, n_a, n_b, d):
        n = min(n_a, n_b)
        found = distance(features(2, n, d), features(3, n, d))
        scale = np.abs(found.influence_a).max()
        assert found.influence_a.mean() == pytest.approx(0, abs=1e-12 * scale)
        assert found.influence_b.mean() == pytest.approx(0, abs=1e-12 * scale)
        assert found.by_pair().mean() == pytest.approx(found.value)


def weighted_frechet(a, b, weights_a, weights_b):
    """Weighted fits, the covariances from n - 1 as of n images."""
    roots, value, means = [], 0.0, []
    for x, weights in ((a, weights_a), (b, weights_b)):
        n = len(x)
        means.append(weights @ x)
        roots.append(np.sqrt(weights * n / (n - 1))[:, None] * (x - means[-1]))
        value += np.sum(roots[-1] ** 2)
    return (
        np.sum((means[0] - means[1]) ** 2)
        + value
        - 2 * np.linalg.norm(roots[0] @ roots[1].T, ord="nuc")
    )


def weighted_kernel(a, b, weights_a, weights_b):
    def mean(x, y, weights_x, weights_y, others_only):
        weights = np.outer(weights_x, weights_y)
        if others_only:
            np.fill_diagonal(weights, 0)
        return np.sum(weights * (x @ y.T / x.shape[1] + 1) ** 3) / weights.sum()

    return (
        mean(a, a, weights_a, weights_a, True)
        + mean(b, b, weights_b, weights_b, True)
        - 2 * mean(a, b, weights_a, weights_b, False)
    )


class TestFrechetDistance:
    @pytest.mark.parametrize(("n_a", "n_b", "d"), [(60, 60, 16), (40, 90, 30), (17, 500, 16)])
    def test_equals_pytorch_fid_where_covariances_have_full_rank(self, n_a, n_b, d):
        import_torchvision()
        from pytorch_fid.fid_score import calculate_frechet_distance

        a, b = features(0, n_a, d), features(1, n_b, d, shift=0.5)
        expected = calculate_frechet_distance(
            a.mean(0), np.cov(a, rowvar=False), b.mean(0), np.cov(b, rowvar=False)
        )
        assert frechet_distance(a, b).value == pytest.approx(expected, rel=1e-6)

    @pytest.mark.parametrize(("n", "d"), [(10, 200), (200, 10)])
    def test_closed_forms(self, n, d):
        a = features(2, n, d)
        shift = np.linspace(-1, 1, d)
        spread = np.trace(np.cov(a, rowvar=False))
        assert frechet_distance(a, a).value == pytest.approx(0, abs=1e-9 * spread)
        assert frechet_distance(a, a + shift).value == pytest.approx(shift @ shift)
        # Tripling about the mean: Tr(S) + 9 Tr(S) - 2 * 3 Tr(S).
        assert frechet_distance(a, 3 * a - 2 * a.mean(0)).value == pytest.approx(4 * spread)

    def test_one_dimension(self):
        a, b = features(3, 50, 1), features(4, 70, 1)
        expected = (a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2
        assert frechet_distance(a, b).value == pytest.approx(expected)

    @settings(max_examples=25)
    @given(seed=st.integers(0, 10**6), n_a=st.integers(2, 40), n_b=st.integers(2, 40))
    def test_symmetric_finite_and_blind_to_rotation(self, seed, n_a, n_b):
        a, b = features(seed, n_a, 12), features(seed + 1, n_b, 12)
        distance = frechet_distance(a, b).value
        rotation, _ = np.linalg.qr(features(seed + 2, 12, 12))
        assert np.isfinite(distance)
        assert distance >= 0
        assert frechet_distance(b, a).value == pytest.approx(distance, rel=1e-9, abs=1e-9)
        assert frechet_distance(a @ rotation, b @ rotation).value == pytest.approx(
            distance, rel=1e-9
        )

    def test_both_routes_agree_beside_each_other(self):
        """Features that are zero change nothing, but make N < D out of N > D."""
        a, b = features(5, 30, 8), features(6, 25, 8)
        padded = [np.pad(x, ((0, 0), (0, 50))) for x in (a, b)]
        assert frechet_distance(*padded).value == pytest.approx(frechet_distance(a, b).value)

    def test_float32_input_is_computed_in_double(self):
        a = (features(7, 20, 40) + 1e4).astype(np.float32)
        b = (features(8, 20, 40) + 1e4).astype(np.float32)
        assert (
            frechet_distance(a, b).value == frechet_distance(a.astype(float), b.astype(float)).value
        )

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


class TestKernelDistance:
    @pytest.mark.parametrize("paired", [False, True])
    def test_equals_a_plain_loop_over_pairs_of_images(self, paired):
        a, b = features(0, 7, 5), features(1, 7, 5, shift=0.5)

        def mean(x, y, others_only):
            values = [
                (sum(p * q for p, q in zip(x[i], y[j], strict=True)) / 5 + 1) ** 3
                for i in range(7)
                for j in range(7)
                if not (others_only and i == j)
            ]
            return sum(values) / len(values)

        expected = mean(a, a, True) + mean(b, b, True) - 2 * mean(a, b, paired)
        assert kernel_distance(a, b, paired).value == pytest.approx(expected)

    def test_is_unbiased_for_pairs_too(self):
        """Pairs from one distribution, alike to each other: zero in the mean, of either sign."""
        rng = np.random.default_rng(0)
        values = {True: [], False: []}
        for _ in range(400):
            truth = rng.normal(size=(20, 10))
            filled = 0.8 * truth + 0.6 * rng.normal(size=(20, 10))
            for paired in values:
                values[paired].append(kernel_distance(filled, truth, paired).value)
        error = np.std(values[True]) / 20
        assert abs(np.mean(values[True])) < 3 * error
        assert np.mean(values[False]) < -10 * error, "what leaving out the partners is for"

    def test_sets_larger_than_a_chunk(self, monkeypatch):
        a, b = features(0, 9, 4), features(1, 11, 4)
        expected = kernel_distance(a, b, paired=False)
        monkeypatch.setattr("maskgit.scoring.distances.CHUNK", 4)
        found = kernel_distance(a, b, paired=False)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other)

    def test_refuses_pairs_of_unequal_number(self):
        with pytest.raises(ValueError, match="as many images"):
            kernel_distance(features(0, 4, 3), features(1, 5, 3), paired=True)


class TestIntervalsOfTheFrechetDistance:
    """Against fresh draws of images, with fewer images than features, as in practice."""

    N, D = 40, 100

    def draw(self, rng, noise, drawn=None):
        """Truth, and two methods' fills of the same images."""
        spectrum = (1 + np.arange(self.D)) ** -0.6
        truth = rng.normal(size=(self.N, self.D))
        fills = []
        for share in noise:
            spread = 0.5 + rng.random((self.N, 1))
            fills.append(0.8 * truth + share * spread * rng.normal(size=truth.shape) + 0.05)
        return truth * spectrum, *(fill * spectrum for fill in fills)

    def test_cover_the_mean_over_fresh_draws(self):
        rng = np.random.default_rng(0)
        fresh = [self.draw(rng, [0.5]) for _ in range(300)]
        distances = [frechet_distance(a, t).value for t, a in fresh]
        target, spread = np.mean(distances), np.std(distances)
        covered, widths = [], []
        for truth, filled in fresh[:100]:
            low, high = mean_interval(frechet_distance(filled, truth).by_pair())
            covered.append(low <= target <= high)
            widths.append(high - low)
        assert np.mean(covered) >= 0.92
        assert np.mean(widths) < 1.6 * 2 * 1.96 * spread, "wide enough is easy: not too wide"

    @pytest.mark.parametrize(
        ("noise", "least", "most"), [((0.5, 0.5), 0, 0.06), ((0.5, 0.8), 0.9, 1)]
    )
    def test_a_difference_is_shown_when_there_is_one(self, noise, least, most):
        rng = np.random.default_rng(1)
        shown = []
        for _ in range(60):
            truth, one, other = self.draw(rng, noise)
            by_image = (
                frechet_distance(one, truth).by_pair() - frechet_distance(other, truth).by_pair()
            )
            low, high = mean_interval(by_image)
            shown.append(not low <= 0 <= high)
        assert least <= np.mean(shown) <= most
