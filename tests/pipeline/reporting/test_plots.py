"""Plots: what is written beside the axes can be read."""

from itertools import pairwise

import matplotlib.pyplot as plt
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.reporting.plots import label_lines


@settings(max_examples=20)
@given(st.lists(st.sampled_from([0.0, 0.001, 0.008, 0.02, 0.58, 1.0]), max_size=7))
def test_no_two_names_of_lines_overlap_and_they_are_in_the_order_of_the_lines(values):
    figure, axis = plt.subplots(figsize=(4.6, 3.8))
    axis.plot([1, 2], [0.0, 1.0])
    table = pd.DataFrame({"schedule": [f"fill {i}" for i in range(len(values))], "score": values})
    label_lines(axis, table, "score")
    figure.canvas.draw()
    names = sorted(axis.texts, key=lambda text: text.get_window_extent().y0)
    boxes = [name.get_window_extent() for name in names]
    plt.close(figure)
    assert all(below.y1 <= above.y0 for below, above in pairwise(boxes))
    found = table.set_index("schedule")["score"][[name.get_text() for name in names]]
    assert len(found) == len(values) and found.is_monotonic_increasing


def test_a_name_that_has_room_stands_at_its_line():
    figure, axis = plt.subplots()
    axis.plot([1, 2], [0.0, 1.0])
    label_lines(axis, pd.DataFrame({"schedule": ["a", "b"], "score": [0.2, 0.7]}), "score")
    plt.close(figure)
    assert [(name.get_text(), name.xy[1]) for name in axis.texts] == [("a", 0.2), ("b", 0.7)]
