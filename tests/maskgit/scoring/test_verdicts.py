"""Verdicts, held against samplers of known quality."""

from functools import cache

import numpy as np
import pytest

from maskgit.scoring.distances import frechet_distance, kernel_distance
from maskgit.scoring.score import mean_over_sets
from maskgit.scoring.simulation import SPREADS, draw, fill, true_frechet
from maskgit.scoring.verdicts import fills_needed, images_needed, simultaneous_intervals


@cache
def columns(n: int, seed: int) -> dict[str, np.ndarray]:
    """Kernel distance, image by image, of each known sampler."""
    rng = np.random.default_rng([n, seed])
    truth, fixed = draw(n, rng)
    return {
        name: kernel_distance(fill(fixed, spread, rng), truth, paired=True).by_pair()
        for name, spread in SPREADS.items()
    }


def differences(n: int, seed: int, *pairs: tuple[str, str]):
    found = columns(n, seed)
    return simultaneous_intervals(np.stack([found[a] - found[b] for a, b in pairs], axis=1))


WORSE = [("perfect", name) for name in SPREADS if name != "perfect"]
WORSE.append(("too little spread", "blurry"))


@pytest.mark.parametrize(("n", "draws"), [(128, 40), (747, 4), (5000, 1)])
def test_no_verdict_names_the_worse_sampler_better(n, draws):
    """A worse sampler would have to win by chance: within one in twenty reports at most."""
    wrong = sum((differences(n, seed, *WORSE).low > 0).any() for seed in range(draws))
    assert wrong <= draws * 0.05


def test_the_better_sampler_is_named_where_there_are_images_enough():
    assert (differences(5000, 0, *WORSE).high < 0).all()


@pytest.mark.parametrize(("fills", "draws"), [(1, 100), (3, 40)])
def test_equal_samplers_are_told_apart_in_one_report_of_twenty_at_most(fills, draws):
    """Fills of one hole are averaged before the bootstrap over images."""
    wrong = 0
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        truth, fixed = draw(128, rng)
        one, other = (
            mean_over_sets(
                kernel_distance(fill(fixed, 1.0, rng), truth, True).by_pair() for _ in range(fills)
            )
            for _ in range(2)
        )
        found = simultaneous_intervals((one - other)[:, None])
        wrong += found.low[0] > 0 or found.high[0] < 0
    assert wrong <= draws / 10  # twice as many as expected


def test_the_frechet_distance_of_few_pairs_prefers_blur():
    """Why it is not judged: the blurry sampler is truly the worst, and looks the best."""
    rng = np.random.default_rng(0)
    truth, fixed = draw(128, rng)
    found = {
        name: frechet_distance(fill(fixed, s, rng), truth).value for name, s in SPREADS.items()
    }
    assert true_frechet(SPREADS["blurry"]) > true_frechet(SPREADS["perfect"]) == 0
    assert found["blurry"] < found["too little spread"] < found["perfect"]


def test_many_comparisons_share_one_error_rate():
    """With nothing to find among 50 comparisons, at most about one report in twenty finds some."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(60):
        found = simultaneous_intervals(rng.standard_normal((60, 50)))
        wrong += ((found.low > 0) | (found.high < 0)).any()
    assert wrong <= 8  # of 3 expected


@pytest.mark.parametrize("n", [4, 29, 30, 60])
def test_few_images_keep_the_error_rate(n):
    """Without the width of Student's t every second report of ten images would find something."""
    rng = np.random.default_rng(0)
    settings = rng.standard_normal((60, n, 12))
    first, second = np.triu_indices(12, 1)
    wrong = 0
    for each in settings:
        found = simultaneous_intervals(each[:, first] - each[:, second])
        wrong += ((found.low > 0) | (found.high < 0)).any()
    assert wrong <= 8  # of 3 expected


def test_comparisons_that_move_together_cost_no_more_than_one():
    one = np.random.default_rng(0).standard_normal((100, 1))
    alone, many = simultaneous_intervals(one), simultaneous_intervals(one.repeat(40, axis=1))
    assert many.low == pytest.approx(alone.low[0])


def test_methods_that_never_differ():
    found = simultaneous_intervals(np.zeros((5, 2)))
    assert found.low.tolist() == found.high.tolist() == found.seen.tolist() == [0, 0]
    assert images_needed(0.0, 1.0, 128) == np.inf


@pytest.mark.parametrize("n", [4, 29, 30, 100])
def test_a_difference_that_all_images_share_changes_no_other_interval(n):
    """The standard deviation of a hundred times 0.1 is not 0 but 1e-17."""
    others = np.random.default_rng(0).standard_normal((n, 2))
    alone = simultaneous_intervals(others)
    found = simultaneous_intervals(np.column_stack([others, np.full(n, 0.1)]))
    assert found.low[2] == found.high[2] == pytest.approx(0.1) and found.seen[2] == 0
    for one, many in zip(alone, found, strict=True):
        assert many[:2].tolist() == one.tolist()


def test_a_difference_as_large_as_seen_is_noticed_four_times_in_five():
    rng = np.random.default_rng(0)
    seen = simultaneous_intervals(rng.standard_normal((200, 1))).seen[0]
    noticed = [
        simultaneous_intervals(rng.standard_normal((200, 1)) + seen).low[0] > 0 for _ in range(40)
    ]
    assert 24 <= sum(noticed) <= 39  # of 32 expected


def by_fill(n, fills, between_images, between_fills, difference=0.0, seed=0):
    """Differences of two methods, float (n, fills)."""
    rng = np.random.default_rng(seed)
    images = between_images * rng.standard_normal((n, 1))
    return difference + images + between_fills * rng.standard_normal((n, fills))


def test_as_many_fills_as_are_needed_show_the_difference_that_they_are_needed_for():
    few = by_fill(4000, 4, between_images=0.5, between_fills=2)
    seen = simultaneous_intervals(few.mean(axis=1, keepdims=True)).seen[0]
    needed = fills_needed(0.7 * seen, seen, few)
    many = by_fill(4000, round(needed), between_images=0.5, between_fills=2, seed=1)
    reached = simultaneous_intervals(many.mean(axis=1, keepdims=True)).seen[0]
    assert needed > 4 and reached == pytest.approx(0.7 * seen, rel=0.1)


def test_no_number_of_fills_is_enough_where_only_images_differ():
    assert fills_needed(0.5, 1.0, by_fill(100, 3, between_images=1, between_fills=0)) == np.inf


def test_images_needed_grow_with_the_square():
    assert images_needed(0.5, 1.0, 100) == 400
