"""A race gives each way its turn, and its table is of what happened. No time is asserted."""

import numpy as np
import pytest
import torch

from pipeline.bench.race import Race, Result, Way, count_flops, time_race
from pipeline.bench.table import summarise, utilisation


def test_operations_are_counted():
    x = torch.ones(4, 5)
    assert count_flops(lambda: (x @ x.T).sum().item()) == (2 * 4 * 5 * 4, 16 * 5)


def test_every_way_has_its_turn_in_every_round():
    turns = []
    ways = [Way(name, lambda name=name: turns.append(name), 1) for name in ("lab", "ours")]
    result = time_race(Race("nothing", ways, [], repeats=3), repeats=2)
    assert turns == ["lab"] * 2 + ["ours"] * 2 + ["lab", "ours"] * 2  # counted, warm, timed
    assert result.seconds.shape == (2, 2)


def test_what_is_done_once_a_batch_is_shared_by_the_real_batch():
    x = torch.ones(10, 10)
    ways = [Way(name, lambda: (x @ x, x @ x), 2, lambda: x @ x) for name in "ab"]
    flops = time_race(Race("", ways, [], repeats=1, excess=0.5), repeats=1).flops
    assert flops.tolist() == [(2 - 0.5) * 2000 / 2] * 2


def test_ratios_are_of_the_same_round():
    ways = [Way("lab", None, 1), Way("ours", None, 1)]
    seconds = np.array([[2.0, 1.0], [40.0, 10.0], [6.0, 1.0]])  # a busy minute in the second
    table = summarise(
        Race("train", ways, [], 3), Result(seconds, np.array([6e9, 2e9]), None), "laptop"
    )
    row = table.iloc[0]
    assert (row["ratio"], row["ratio_low"], row["ratio_high"]) == (4, 3, 5)
    assert (row["lab_seconds"], row["ours_seconds"], row["flop_ratio"]) == (6, 1, 3)


@pytest.mark.parametrize(
    ("card", "share"),
    [
        ("NVIDIA H100 80GB HBM3", 0.5),
        ("NVIDIA H100 PCIe", 0.654),
        ("NVIDIA L40", None),
        ("NVIDIA H100 NVL", None),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
    ],
)
def test_the_peak_is_that_of_the_very_card(monkeypatch, card, share):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: card)
    found = utilisation(494.5e12)
    assert found == (share and pytest.approx(share, rel=1e-3))
