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
from pipeline.reporting.pictures import check_png
from pipeline.reporting.plots import plot_simulation
from pipeline.reporting.text import aligned

DRAWS = {128: 100, 747: 20, 5000: 3}  # reports simulated, by the number of test images
PAIRS = list(combinations(SPREADS, 2))  # the better one first


def simulate(n: int, draws: int) -> Iterator[dict[str, object]]:
    """Yields a row for each simulated report and sampler: distances, and shares of verdicts."""
    for seed in range(draws):
        rng = np.random.default_rng([n, seed])
        truth, fixed = draw(n, rng)
        fills = {name: fill(fixed, spread, rng) for name, spread in SPREADS.items()}
        kernel = {name: kernel_distance(x, truth, paired=True) for name, x in fills.items()}
        by_image = [kernel[a].by_pair() - kernel[b].by_pair() for a, b in PAIRS]
        found = simultaneous_intervals(np.stack(by_image, axis=1))
        for name, features in fills.items():
            worse = [better == name for better, _ in PAIRS]
            yield {
                "n": n,
                "sampler": name,
                "frechet": frechet_distance(features, truth),
                "kernel": kernel[name].value,
                "wrong": (found.low[worse] > 0).mean() if any(worse) else np.nan,
                "right": (found.high[worse] < 0).mean() if any(worse) else np.nan,
            }


def simulation(picture: Path) -> str:
    """Draws the picture; returns the table. Raises UserError where it is to be no PNG file."""
    check_png(picture)
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
