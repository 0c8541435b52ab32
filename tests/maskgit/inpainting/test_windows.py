"""Windows are as small as the hole allows, and together they fill it."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskgit.inpainting import windows
from maskgit.inpainting.windows import (
    CONTEXT,
    LARGER,
    UNKNOWN,
    _cover,
    plan_finer,
    plan_windows,
    waves,
)

SIZE = 64


@st.composite
def holes(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    hole = np.zeros(rng.integers(1, 400, size=2), dtype=bool)
    for _ in range(rng.integers(0, 6)):
        top, left = (rng.integers(length) for length in hole.shape)
        height, width = rng.integers(1, 12 if rng.random() < 0.7 else 200, size=2)
        hole[top : top + height, left : left + width] = True
    return hole


@given(holes())
def test_every_hole_pixel_is_filled_once_and_nothing_else(hole):
    filled = np.zeros(hole.shape, dtype=int)
    for window in plan_windows(hole, SIZE):
        filled[window.inner] += window.fills
        assert window.fills.any()
        for part, start in zip(window.inner, window.corner, strict=True):
            assert start <= part.start and part.stop <= start + window.side
    assert np.array_equal(filled, hole.astype(int))


@given(holes())
def test_what_is_filled_has_known_or_earlier_filled_pixels_around_it_or_the_picture_ends(hole):
    for window in plan_windows(hole, SIZE):
        for start, part, length in zip(window.corner, window.inner, hole.shape, strict=True):
            assert part.start == 0 or part.start - start >= window.side // 4
            assert part.stop == length or start + window.side - part.stop >= window.side // 4


@given(holes())
def test_each_pass_covers_what_larger_windows_filled_until_none_is_left(hole):
    windows = plan_windows(hole, SIZE)
    sides = np.zeros(hole.shape, dtype=int)
    for window in windows:
        sides[window.inner][window.fills] = window.side
    for finer in plan_finer(hole, windows, SIZE):
        filled = np.zeros(hole.shape, dtype=int)
        (side,) = {window.side for window in finer}
        for window in finer:
            filled[window.inner] += window.fills
        assert side == max(SIZE, -(-sides.max() // 2))
        assert np.array_equal(filled, (sides > side).astype(int))
        sides[sides > side] = side
    assert sides.max() <= max(SIZE, min(hole.shape)) and not (sides > SIZE).any()


def overlap(first, second):
    return all(
        a.start < b.stop and b.start < a.stop
        for a, b in zip(first.whole, second.whole, strict=True)
    )


@given(holes())
def test_windows_at_once_do_not_overlap_and_the_order_is_kept(hole):
    planned = plan_windows(hole, SIZE)
    groups = waves(planned)
    assert sorted(chain(*groups)) == list(range(len(planned)))
    wave = {number: i for i, group in enumerate(groups) for number in group}
    for i, first in enumerate(planned):
        for j, second in enumerate(planned[:i]):
            if overlap(first, second):
                assert wave[i] > wave[j]


@given(holes())
def test_a_window_has_more_unknown_than_training_only_where_a_larger_one_would_not_help(hole):
    """Of what earlier windows leave; one that is as small as can be is no larger than it has to."""
    unknown = hole.copy()
    for window in plan_windows(hole, SIZE):
        seen = unknown[window.whole]
        assert seen.mean() <= UNKNOWN or window.side == min(hole.shape) or not seen.all()
        assert window.side <= min(hole.shape)
        unknown[window.inner] &= ~window.fills
    assert not unknown.any()


@given(holes())
def test_every_window_lies_within_the_picture(hole):
    for window in plan_windows(hole, SIZE):
        assert hole[window.whole].shape == (window.side, window.side)


def spots(count):
    """A picture with spots of 21 x 21 pixels, each too thick for a window of the model's size."""
    hole = np.zeros((50, 50 * count), dtype=bool)
    for start in range(0, hole.shape[1], 50):
        hole[10:31, start + 10 : start + 31] = True
    return hole


def test_planning_visits_the_pixels_of_each_spot_and_the_picture_once(monkeypatch):
    visited = []

    def cover(left, box, *rest):
        visited.append(left[box].size)
        return _cover(left, box, *rest)

    monkeypatch.setattr(windows, "_cover", cover)
    hole = spots(40)
    plan_windows(hole, size=16)
    assert sum(visited) == hole.size + 40 * 21 * 21


def test_grouping_looks_at_each_window_twice_however_many_there_are():
    looks = []

    class Counted(windows.Window):
        @property
        def whole(self):
            looks.append(self)
            return super().whole

    planned = [Counted(*window) for window in plan_windows(spots(40), size=16)]
    assert len(planned) >= 40
    waves(planned)
    assert len(looks) == 2 * len(planned)


def sides(hole):
    return [window.side for window in plan_windows(hole, SIZE)]


@pytest.mark.parametrize("turns", range(4))
def test_a_picture_may_be_continued_in_any_direction(turns):
    """The first window begins at what is known, wherever that lies."""
    hole = np.zeros((100, 400), dtype=bool)
    hole[:, :150] = True
    hole = np.rot90(hole, turns)
    known = ~hole
    for window in plan_windows(hole, SIZE):
        assert known[window.whole].any()
        known[window.inner] |= window.fills
    assert known.all()


def test_where_nothing_is_known_a_plan_still_covers_all():
    (first, *_) = plan_windows(np.ones((70, 300), dtype=bool), SIZE)
    assert first.corner == (0, 0)


def test_dust_and_scratches_get_the_models_own_size():
    photo = np.zeros((3000, 4000), dtype=bool)
    photo[100:106, 200:206] = photo[1100:1106, 1200:1206] = True
    assert sides(photo) == [SIZE] * 2
    photo[:] = False
    photo[1500:1503, 100:3900] = True  # a scratch, three pixels wide
    assert set(sides(photo)) == {SIZE} and len(sides(photo)) == pytest.approx(3800 / 32, rel=0.1)


def test_a_thick_hole_gets_windows_with_enough_around_it():
    photo = np.zeros((3000, 4000), dtype=bool)
    photo[1000:1300, 1500:1800] = True
    (side,) = sides(photo)
    assert side >= CONTEXT * 300 - 1 and (300 / side) ** 2 <= UNKNOWN < (300 * LARGER / side) ** 2
    photo[:] = False
    photo[1000:1100, 500:2000] = True  # long: several windows, as large as it is thick there
    assert len(sides(photo)) > 2
    assert all(CONTEXT * 99 - 4 <= side < 8 * 100 for side in sides(photo))


def test_where_much_is_unknown_windows_grow():
    photo = np.zeros((1000, 1000), dtype=bool)
    photo[300:320, 300:700] = photo[340:360, 300:700] = photo[380:400, 300:700] = True
    assert SIZE < max(sides(photo)) < 8 * SIZE
    alone = np.zeros_like(photo)
    alone[340:360, 300:700] = True  # as thick, but with enough around it
    assert max(sides(alone)) < max(sides(photo))


@pytest.mark.parametrize(("line", "period"), [(3, 12), (2, 12), (3, 20)])
def test_a_fence_is_filled_at_nearly_full_detail(line, period):
    """A larger window has the same share of it, and its copy has more."""
    fence = np.zeros((512, 512), dtype=bool)
    for start in range(line):
        fence[start::period] = fence[:, start::period] = True
    assert fence.mean() > UNKNOWN
    found = np.array(sides(fence))
    assert np.mean(found <= 1.25 * SIZE) > 0.9 and found.max() <= 4 * SIZE


def test_near_spots_share_a_window_far_ones_do_not():
    photo = np.zeros((500, 500), dtype=bool)
    photo[100:104, 100:104] = photo[110:114, 112:116] = True
    assert len(sides(photo)) == 1
    photo[400:404, 100:104] = True
    assert len(sides(photo)) == 2
    assert [len(group) for group in waves(plan_windows(photo, SIZE))] == [2]


def test_a_picture_of_the_models_own_size_is_one_window():
    """Half of it unknown, or all but a corner: there is no more context to be had."""
    for hole in (np.tile(np.arange(64) >= 32, (64, 1)), np.add.outer(range(64), range(64)) > 9):
        (window,) = plan_windows(hole, SIZE)
        assert window.corner == (0, 0) and window.side == SIZE
