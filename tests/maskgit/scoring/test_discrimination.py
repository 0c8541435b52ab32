import numpy as np
import pytest

from maskgit.scoring.discrimination import FEWEST, Discrimination, discriminate

N, D = 120, 40


def draw(seed, shift=0.0):
    return np.random.default_rng(seed).normal(size=(N, D)) + shift


def means(features, truth):
    return Discrimination(*(column.mean() for column in discriminate(features, truth)))


def test_who_draws_as_nature_does_is_told_apart_by_chance_only():
    scores = means(draw(0), draw(1))
    assert all(0.38 < score < 0.62 for score in scores)


def test_who_is_plainly_other_is_found_out():
    assert max(means(draw(0, shift=3.0), draw(1))) == 0
    slight = means(draw(0, shift=0.15), draw(1))
    assert all(0.05 < score < 0.5 for score in slight)


def test_more_features_than_images_do_not_make_the_judge_all_knowing():
    """Trained and asked on the same images, it would tell any two sets apart."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 30, 300))
    assert means(a, b).u_ids > 0.3


def test_each_column_has_a_number_for_each_image_the_same_at_every_call():
    task = draw(0, shift=0.3), draw(1)
    first, second = discriminate(*task), discriminate(*task)
    for column, again in zip(first, second, strict=True):
        assert column.shape == (N,) and column.dtype == np.float64
        np.testing.assert_array_equal(column, again)
    assert set(first.p_ids) <= {0.0, 1.0} and set(first.u_ids) <= {0.0, 0.5, 1.0}


def test_copies_of_the_truth_are_not_told_apart():
    truth = draw(0)
    assert means(truth, truth) == pytest.approx((0.5, 0.5), abs=0.01)


def test_images_of_a_group_are_not_split_between_training_and_test():
    """In which the judge would recognise the true windows of a picture."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 4)
    picture, own = rng.normal(size=(30, D))[groups], rng.normal(size=(2, N, D))
    fills, truth = np.sqrt(10) * own[0], 3 * picture + own[1]
    alone = discriminate(fills, truth).u_ids.mean()
    together = discriminate(fills, truth, groups).u_ids.mean()
    assert alone < 0.4 < 0.44 < together


def test_of_few_images_nothing_is_said():
    few = discriminate(draw(0)[: FEWEST - 1], draw(1)[: FEWEST - 1])
    assert all(np.isnan(column).all() and len(column) == FEWEST - 1 for column in few)
