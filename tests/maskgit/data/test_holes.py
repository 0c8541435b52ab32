import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskgit.data.holes import HOLES, dilate, draw_holes, stretched


@settings(max_examples=25)
@given(
    kind=st.sampled_from(["box", "strokes", "mixture"]),
    area=st.floats(0.02, 0.6),
    size=st.sampled_from([32, 64, 96]),
    seed=st.integers(0, 2**32),
)
def test_the_area_is_the_one_asked_for(kind, area, size, seed):
    hole = HOLES[kind](np.random.default_rng(seed), size, area)
    assert hole.shape == (size, size) and hole.dtype == bool
    assert hole.mean() == pytest.approx(area, abs=0.02)


def test_hole_i_depends_on_the_seed_and_i_alone():
    few = draw_holes(3, ["mixture"], (0.1, 0.25), 64, seed=4)
    many = draw_holes(6, ["mixture"], (0.1, 0.25), 64, seed=4)
    assert np.array_equal(few, many[:3])
    assert not np.array_equal(many, draw_holes(6, ["mixture"], (0.1, 0.25), 64, seed=5))


def test_a_mixture_has_both_kinds():
    holes = draw_holes(40, ["mixture"], (0.1, 0.25), 64, seed=0)
    boxes = [hole.sum() == np.ptp(np.nonzero(hole), axis=1).__add__(1).prod() for hole in holes]
    assert 8 <= sum(boxes) <= 32


@pytest.mark.parametrize("size", [32, 64, 256])
@pytest.mark.parametrize("kind", HOLES)
def test_every_kind_leaves_something_known_and_something_to_fill(kind, size):
    for hole in draw_holes(8, [kind], (0.1, 0.25), size, seed=1):
        assert hole.shape == (size, size) and 0 < hole.sum() < size * size


def test_kinds_take_turns():
    both = draw_holes(4, ["half", "expand"], (0.1, 0.25), 64, seed=0)
    assert both.mean(axis=(1, 2)).tolist() == [0.5, 1 - 1 / 16, 0.5, 1 - 1 / 16]


def test_lamas_kinds_differ_in_width_and_none_covers_more_than_half():
    """Thin holes have the most rim for their area."""
    rim = {}
    for kind in ("thin", "medium", "thick"):
        holes = draw_holes(60, [kind], (0, 0), 256, seed=0)
        assert holes.mean(axis=(1, 2)).max() <= 0.5
        rim[kind] = np.mean(holes[:, 1:] != holes[:, :-1]) / holes.mean()
    assert rim["thin"] > rim["medium"] > rim["thick"]


def test_what_repaint_leaves_known():
    lines, points = (
        draw_holes(1, [kind], (0, 0), 8, seed=0)[0]
        for kind in ("every_second_line", "super_resolution")
    )
    assert not lines[::2].any() and lines[1::2].all()
    assert not points[::2, ::2].any() and points.sum() == 64 - 16


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 30), st.integers(1, 30))
def test_a_stretched_hole_has_each_pixel_that_it_touches(height, width, rows, columns):
    hole = np.random.default_rng(0).random((height, width)) < 0.3
    fine = hole.repeat(rows, axis=0).repeat(columns, axis=1)  # height * rows by width * columns
    touched = fine.reshape(rows, height, columns, width).any(axis=(1, 3))
    assert np.array_equal(stretched(hole, (rows, columns)), touched)


def test_a_grown_hole_has_all_that_lies_near_it():
    hole = np.zeros((30, 40), dtype=bool)
    hole[10, 12] = hole[25, 39] = True
    rows, columns = np.mgrid[:30, :40]
    near = np.hypot(rows - 10, columns - 12) <= 4
    near |= np.hypot(rows - 25, columns - 39) <= 4
    assert np.array_equal(dilate(hole, 4), near)
    assert np.array_equal(dilate(hole, 0), hole) and not dilate(np.zeros_like(hole), 4).any()
