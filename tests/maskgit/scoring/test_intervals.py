import numpy as np
import pytest
from scipy import stats

from maskgit.scoring.intervals import mean_by_group, mean_interval, summarise


def test_the_interval_of_a_mean_is_that_of_the_textbook_for_many_images():
    values = np.random.default_rng(0).normal(5, 2, 500)
    low, high = mean_interval(values)
    error = values.std() / np.sqrt(500)
    assert low == pytest.approx(values.mean() + stats.norm.ppf(0.025) * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + stats.norm.ppf(0.975) * error, abs=0.15 * error)


def test_two_samples_of_unequal_size_add_up_their_variances():
    rng = np.random.default_rng(1)
    a, b = rng.normal(1, 2, 300), rng.normal(2, 3, 700)
    low, high = mean_interval(a, b)
    error = np.sqrt(a.var() / 300 + b.var() / 700)
    assert (low + high) / 2 == pytest.approx(a.mean() + b.mean(), abs=0.15 * error)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_the_same_images_give_the_same_interval_and_shifts_move_it():
    values = np.random.default_rng(2).exponential(size=60)
    low, high = mean_interval(values)
    assert mean_interval(values) == (low, high)
    assert mean_interval(values + 10) == pytest.approx((low + 10, high + 10))
    assert mean_interval(-values) == pytest.approx((-high, -low))


@pytest.mark.filterwarnings("error")
def test_nan_is_left_out_and_too_few_values_have_no_interval():
    values = np.random.default_rng(3).normal(size=20)
    assert mean_interval(np.append(values, np.nan)) == mean_interval(values)
    assert np.isnan(mean_interval(np.array([1.0, np.nan]))).all()
    assert mean_interval(np.full(9, 3.0)) == (3, 3)
    found = summarise({"x": values, "none": np.full(20, np.nan)})
    assert list(found) == ["x", "none", "x_low", "x_high", "none_low", "none_high"]
    assert found["x"] == pytest.approx(values.mean()) and np.isnan(found["none"])


def test_a_group_of_images_counts_as_one_with_their_mean():
    values, groups = np.array([1.0, 5.0, np.nan, 3.0, np.nan]), np.array([7, 2, 2, 7, 4])
    np.testing.assert_array_equal(mean_by_group(values, groups), [5, np.nan, 2])
    one_each = np.random.default_rng(4).normal(size=20)
    twice = summarise({"x": np.tile(one_each, 2)}, np.tile(np.arange(20), 2))
    assert twice == pytest.approx(summarise({"x": one_each}))


@pytest.mark.parametrize("n", [3, 5, 30])
def test_intervals_of_few_images_are_as_wide_as_students(n):
    rng = np.random.default_rng(5)
    ends = np.array([mean_interval(rng.normal(size=n)) for _ in range(60)])
    student = stats.t.ppf(0.975, n - 1) / np.sqrt(n)
    assert np.sqrt(np.mean((ends[:, 1] - ends[:, 0]) ** 2)) / 2 == pytest.approx(student, rel=0.15)
    holds = (ends[:, 0] <= 0) & (ends[:, 1] >= 0)
    assert holds.mean() > 0.88
