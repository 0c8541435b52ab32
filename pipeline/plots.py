"""Plots as PNG: losses over steps, scores over iterations."""

from pathlib import Path

import matplotlib
import pandas as pd

matplotlib.use("Agg")
import matplotlib.pyplot as plt

AXES = {
    "fid": "FID",
    "fd_efficientnet_lite0": "Fréchet distance (EfficientNet-Lite0)",
    "psnr_hole": "PSNR in the hole (dB)",
    "ssim_hole": "SSIM in the hole",
    "l1_hole": "mean absolute error in the hole",
}


def plot_losses(history: pd.DataFrame, path: Path) -> None:
    """A panel for each loss and score of a training, over its steps."""
    names = [name for name in history.columns if name not in ("step", "learning_rate")]
    figure, axes = plt.subplots(1, len(names), figsize=(3.2 * len(names), 2.8), squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        points = history[["step", name]].dropna()
        axis.plot(points["step"], points[name], marker="o" if len(points) < 30 else "", ms=3)
        axis.set(title=name.replace("_", " "), xlabel="step")
        axis.grid(alpha=0.3)
    save(figure, path)


def plot_scores(table: pd.DataFrame, path: Path) -> None:
    """Distance and hole PSNR over iterations, a colour for each schedule, baselines dashed."""
    names = [table.columns[3], "psnr_hole"]
    figure, axes = plt.subplots(1, len(names), figsize=(10, 4))
    baselines = table[table["iterations"].isna()]
    for axis, name in zip(axes, names, strict=True):
        for schedule, rows in table.dropna(subset="iterations").groupby("schedule", sort=False):
            axis.plot(rows["iterations"].astype(int), rows[name], marker="o", label=schedule)
        for _, row in baselines.iterrows():
            axis.axhline(row[name], color="grey", linestyle="--", linewidth=1)
            axis.annotate(
                row["schedule"], (1, row[name]), xycoords=("axes fraction", "data"), fontsize=8
            )
        axis.set(xlabel="iterations", ylabel=AXES.get(name, name))
        axis.grid(alpha=0.3)
    axes[0].legend()
    save(figure, path)


def save(figure: plt.Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
