import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskgit.data.holes import HOLES, draw_holes


@settings(max_examples=25)
@given(
    kind=st.sampled_from(sorted(HOLES)),
    area=st.floats(0.02, 0.6),
    size=st.sampled_from([32, 64, 96]),
    seed=st.integers(0, 2**32),
)
def test_the_area_is_the_one_asked_for(kind, area, size, seed):
    hole = HOLES[kind](np.random.default_rng(seed), size, area)
    assert hole.shape == (size, size) and hole.dtype == bool
    assert hole.mean() == pytest.approx(area, abs=0.02)


def test_hole_i_depends_on_the_seed_and_i_alone():
    few = draw_holes(3, "mixture", (0.1, 0.25), 64, seed=4)
    many = draw_holes(6, "mixture", (0.1, 0.25), 64, seed=4)
    assert np.array_equal(few, many[:3])
    assert not np.array_equal(many, draw_holes(6, "mixture", (0.1, 0.25), 64, seed=5))


def test_a_mixture_has_both_kinds():
    holes = draw_holes(40, "mixture", (0.1, 0.25), 64, seed=0)
    boxes = [hole.sum() == np.ptp(np.nonzero(hole), axis=1).__add__(1).prod() for hole in holes]
    assert 8 <= sum(boxes) <= 32
