"""Checks distances and verdicts on simulated samplers of known quality: a table and a picture."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from maskgit.scoring.distances import frechet_distance, kernel_distance
from maskgit.scoring.simulation import SPREADS, draw, fill, true_frechet
from maskgit.scoring.verdicts import simultaneous_intervals
from pipeline.plumbing.files import check_writable
from pipeline.reporting.pictures import check_png
from pipeline.reporting.plots import plot_simulation
from pipeline.reporting.text import aligned

DRAWS = {128: 100, 747: 20, 5000: 2}  # reports simulated, by the number of test images
# As in a report of the default settings: every two of twelve settings are compared, and each of
# them with each of six other fills.
SETTINGS = [name for name in SPREADS for _ in range(4)]  # the better ones first
METHODS = SETTINGS + ["blurry"] * 6
PAIRS = [(a, b) for a, b in combinations(range(len(METHODS)), 2) if a < len(SETTINGS)]


def simulate(n: int, draws: int) -> Iterator[dict[str, object]]:
    """Yields a row for each simulated report and sampler: distances, and shares of verdicts.

    The verdicts of a row are those of settings with this sampler and settings with a worse one.
    """
    for seed in range(draws):
        rng = np.random.default_rng([n, seed])
        truth, fixed = draw(n, rng)
        first, distances = {}, []
        for name in METHODS:
            features = fill(fixed, SPREADS[name], rng)
            first.setdefault(name, features)
            distances.append(kernel_distance(features, truth, paired=True))
        by_pair = np.stack([distance.by_pair() for distance in distances], axis=1)
        one, other = np.transpose(PAIRS)
        found = simultaneous_intervals(by_pair[:, one] - by_pair[:, other])
        for name, features in first.items():
            ours = np.array([a for a in range(len(SETTINGS)) if SETTINGS[a] == name])
            worse = np.isin(one, ours) & ~np.isin(other, ours) & (other < len(SETTINGS))
            yield {
                "n": n,
                "sampler": name,
                "frechet": frechet_distance(features, truth).value,
                "kernel": np.mean([distances[a].value for a in ours]),
                "wrong": (found.low[worse] > 0).mean() if worse.any() else np.nan,
                "right": (found.high[worse] < 0).mean() if worse.any() else np.nan,
            }


def simulation(picture: Path) -> str:
    """Draws the picture; returns the table. Raises UserError where it is to be no PNG file."""
    check_png(picture)
    check_writable([picture])
    rows = []
    with tqdm(total=sum(DRAWS.values()) * len(SPREADS), unit="sampler") as bar:
        for n, draws in DRAWS.items():
            for row in simulate(n, draws):
                rows.append(row)
                bar.update()
    found = pd.DataFrame(rows)
    plot_simulation(found, {name: true_frechet(s) for name, s in SPREADS.items()}, picture)
    cells = [
        ["n", "sampler", "true Fréchet", "Fréchet", "kernel", "verdicts right", "verdicts wrong"]
    ]
    for (n, name), group in found.groupby(["n", "sampler"], sort=False):
        share = [
            "" if group[key].isna().all() else f"{group[key].mean():.0%}"
            for key in ("right", "wrong")
        ]
        means = [f"{group['frechet'].mean():.1f}", f"{group['kernel'].mean():.4f}"]
        cells.append([str(n), name, f"{true_frechet(SPREADS[name]):.1f}", *means, *share])
    return aligned(cells)
