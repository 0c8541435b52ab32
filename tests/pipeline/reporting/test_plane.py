"""The plane shows every method, its frontier as a line, and names that can be read."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from maskgit.scoring.columns import with_ends
from pipeline.reporting import plane as planes
from pipeline.reporting.plane import frontier, frontier_text, plane, plot_plane

ACROSS, UP = "perceptual_hole", "kd_x"

METHODS = [  # schedule, iterations, perceptual error, kernel distance
    ("cosine", 2, 4.40, 0.0070),
    ("cosine", 8, 4.55, 0.0048),
    ("square", 8, 4.60, 0.0049),
    ("one_pass", 1, 4.31, 0.0092),
    ("feed_forward", np.nan, 3.83, 0.0107),
    ("telea", np.nan, 5.60, 0.0230),
    ("tokenizer", np.nan, 1.20, 0.0001),
    ("true_images", np.nan, np.nan, -0.0003),
]
FRONTIER = ["feed_forward", "one_pass 1", "cosine 2", "cosine 8"]


def table(methods):
    rows = pd.DataFrame(methods, columns=["schedule", "iterations", ACROSS, UP])
    for name, half in ((ACROSS, 0.1), (UP, 0.002)):
        _, low, high = with_ends(name)
        rows[low], rows[high] = rows[name] - half, rows[name] + half
    return rows


def drawn(methods, monkeypatch, tmp_path):
    """The figure as it would be saved."""
    figures = []
    monkeypatch.setattr(planes, "save", lambda figure, path: figures.append(figure))
    plot_plane(table(methods), tmp_path / "plane.png")
    (figure,) = figures
    figure.tight_layout()  # as `save` does
    return figure


@pytest.fixture
def panels(monkeypatch, tmp_path):
    figure = drawn(METHODS, monkeypatch, tmp_path)
    yield figure.axes
    plt.close(figure)


def test_all_methods_with_both_scores_are_on_the_plane_and_bounds_never_on_its_frontier():
    found = plane(table(METHODS)).set_index("name")["frontier"]
    assert set(found.index) == {*FRONTIER, "square 8", "telea", "tokenizer"}
    assert set(found.index[found]) == set(FRONTIER)


def test_the_frontier_goes_from_the_nearest_to_the_most_natural_whatever_the_order_of_the_rows():
    for methods in (METHODS, METHODS[::-1]):
        assert frontier(table(methods))["name"].tolist() == FRONTIER


def test_the_text_names_both_ends_and_one_between():
    near, between, natural = frontier_text(table(METHODS)).split(". ")
    assert near == "feed_forward is nearest to the truth: perceptual_hole 3.83 at kd_x 0.0107"
    assert between == "cosine 2 lies between: perceptual_hole 4.40 at kd_x 0.00700"
    assert natural == "cosine 8 is most natural as a set: kd_x 0.00480 at perceptual_hole 4.55."


def test_of_two_on_the_frontier_none_lies_between_and_one_alone_is_both():
    two = [METHODS[i] for i in (0, 1, 2)]
    assert "between" not in frontier_text(table(two))
    text = frontier_text(table(METHODS[1:3]))
    assert text.startswith("cosine 8 is both nearest to the truth and most natural: ")


def test_the_line_goes_through_the_frontier_in_order(panels):
    expected = frontier(table(METHODS))[[ACROSS, UP]].to_numpy()
    for panel in panels:
        (line,) = [line for line in panel.lines if line.get_color() == "black"]
        np.testing.assert_array_equal(line.get_xydata(), expected)


def test_every_method_has_one_point_a_panel_filled_on_the_frontier(panels):
    for panel in panels:
        points = {
            tuple(line.get_xydata()[0]): line.get_markerfacecolor() != "white"
            for line in panel.lines
            if line.get_marker() == "o"
        }
        rows = plane(table(METHODS))
        keys = zip(rows[ACROSS], rows[UP], strict=True)
        assert points == dict(zip(keys, rows["frontier"], strict=True))


def test_the_bar_of_a_distance_below_zero_reaches_no_lower(monkeypatch, tmp_path):
    figure = drawn([*METHODS, ("halton", 8, 4.70, -0.0006)], monkeypatch, tmp_path)
    bars = [path for lines in figure.axes[0].collections for path in lines.get_paths()]
    assert min(bar.get_extents().ymin for bar in bars) == -0.0006
    plt.close(figure)


def test_bars_reach_over_the_intervals_and_not_below_a_distance_of_zero(panels):
    left = panels[0]
    paths = [path for bars in left.collections for path in bars.get_paths()]
    ends = [path.get_extents() for path in paths]
    rows = plane(table(METHODS))
    assert sorted(e.height for e in ends if e.width == 0) == pytest.approx(
        sorted(rows[f"{UP}_high"] - rows[f"{UP}_low"].clip(lower=0))
    )
    assert sorted(e.width for e in ends if e.height == 0) == pytest.approx(
        sorted(rows[f"{ACROSS}_high"] - rows[f"{ACROSS}_low"])
    )


def test_each_name_is_written_once_those_of_the_frontier_in_bold(panels):
    names = [text for panel in panels for text in panel.texts]
    assert sorted(text.get_text() for text in names) == sorted(plane(table(METHODS))["name"])
    bold = [text.get_text() for text in names if text.get_weight() == "bold"]
    assert sorted(bold) == sorted(FRONTIER)


def crowd(spread):
    """Twenty settings within `spread` of each other, and a classic fill far away."""
    rng = np.random.default_rng(0)
    near = [(s, i, *rng.uniform(1, 1 + spread, 2)) for s in "abcde" for i in (2, 5, 8, 11)]
    return [*near, ("telea", np.nan, 3, 30)]


@pytest.mark.parametrize("spread", [1, 1e-3, 0], ids=["apart", "close", "equal"])
def test_no_name_overlaps_another(spread, monkeypatch, tmp_path):
    figure = drawn(crowd(spread), monkeypatch, tmp_path)
    renderer = figure.canvas.get_renderer()
    for panel in figure.axes:
        # of the words alone: an annotation's own box has the line to its point as well
        boxes = [plt.Text.get_window_extent(text, renderer) for text in panel.texts]
        assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    assert sum(len(panel.texts) for panel in figure.axes) == 21
    plt.close(figure)


def test_settings_alone_can_be_drawn(monkeypatch, tmp_path):
    plt.close(drawn(METHODS[:3], monkeypatch, tmp_path))


def test_distances_at_or_below_zero_can_be_drawn(monkeypatch, tmp_path):
    below = [(name, n, x, -abs(y)) for name, n, x, y in METHODS]
    plt.close(drawn(below, monkeypatch, tmp_path))
