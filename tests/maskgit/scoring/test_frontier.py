"""Laws of the frontier, of any points; small whole numbers make ties frequent."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskgit.scoring.frontier import between_ends, on_frontier

numbers = st.integers(0, 6) | st.floats(-1, 1)
clouds = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=12).map(np.array)


def dominates(a, b):
    return all(x <= y for x, y in zip(a, b, strict=True)) and tuple(a) != tuple(b)


@given(clouds)
def test_no_point_on_the_frontier_is_dominated(points):
    for point in points[on_frontier(points)]:
        assert not any(dominates(other, point) for other in points)


@given(clouds)
def test_every_other_point_is_dominated_by_one_on_the_frontier(points):
    kept = on_frontier(points)
    for point in points[~kept]:
        assert any(dominates(other, point) for other in points[kept])


@given(clouds, st.randoms(use_true_random=False))
def test_the_order_of_the_points_does_not_matter(points, random):
    order = np.array(random.sample(range(len(points)), len(points)))
    np.testing.assert_array_equal(on_frontier(points[order]), on_frontier(points)[order])


@given(clouds)
def test_along_the_frontier_one_score_falls_as_the_other_rises(points):
    frontier = np.unique(points[on_frontier(points)], axis=0)
    assert (np.diff(frontier[:, 0]) > 0).all() and (np.diff(frontier[:, 1]) < 0).all()


@given(clouds)
def test_what_lies_between_the_ends_has_the_lowest_of_neither_score(points):
    frontier = points[on_frontier(points)]
    found = between_ends(frontier)
    assert (found is None) == (len(np.unique(frontier, axis=0)) < 3)
    if found is not None:
        assert (frontier[found] > frontier.min(axis=0)).all()


@pytest.mark.parametrize("scale", [(1, 1), (1e-3, 1), (1, 1e4)])
def test_what_gives_up_least_does_not_depend_on_the_units(scale):
    points = np.array([[0, 10], [4, 5], [2, 3], [5, 1], [10, 0]]) * scale
    assert between_ends(points[on_frontier(points)]) == 1  # [2, 3], after [0, 10]
