"""Measures how cost grows: memory by rows, a training step by tokens and by parameters."""

import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from numpy.lib.format import open_memmap
from tqdm import tqdm

from maskgit.schedules import make_gamma
from maskgit.transformer.training import TransformerTrainer
from pipeline.bench.models import make_holes, make_transformer, our_training, parameter_count
from pipeline.bench.race import Race, Way, time_race
from pipeline.lab.way import TrainingChoices, train_lab_transformer
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import fresh_folder
from pipeline.plumbing.params import Params, load_params
from pipeline.plumbing.places import REPORTS
from pipeline.reporting.plots import plt, save
from pipeline.reporting.text import aligned
from pipeline.tracking.stage import stage_run

FOLDER = REPORTS / "bench"
ROWS = (10_000, 100_000, 1_000_000)
GRIDS = (8, 16, 24, 32)
PRESETS = ("tiny", "laptop", "hour", "base")
BATCH = 8
BLOCK = 10_000  # rows written at a time
FREE = 3e9  # bytes on disk that the largest number of rows needs


def write_rows(path: Path, kind: type, top: int, shape: tuple[int, ...], axis: int) -> None:
    """Writes an array of random numbers below `top`, in blocks of rows along `axis`."""
    rng = np.random.default_rng(0)
    rows = open_memmap(path, mode="w+", dtype=kind, shape=shape).swapaxes(0, axis)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        block[:] = rng.integers(top, size=block.shape)


def memory_by_rows(counts: tuple[int, ...]) -> pd.DataFrame:
    """Measures memory: work, rows, own_mb, files_mb, seconds (of an image or a training step).

    `prepare` uses all processors that are available.
    """
    if not Path("/proc/self/status").exists():
        raise UserError("--only growth measures memory through /proc, which only Linux has")
    table = []
    with TemporaryDirectory() as name:
        if shutil.disk_usage(name).free < FREE:
            raise UserError(f"{name}: --only growth needs 3 GB of free disk; set TMPDIR")
        sizes = [(work, count) for work in ("encode", "train") for count in counts]
        for work, count in tqdm(sizes, "memory", unit="size"):
            images, tokens = Path(name) / "images.npy", Path(name) / "tokens.npy"
            write_rows(images, np.uint8, 256, (count, 16, 16, 3), 0)
            write_rows(tokens, np.uint16, 1024, (2, count, 64), 1)
            table.append({"work": work, "rows": count} | measured(work, images, tokens))
        for path in (images, tokens):
            path.unlink()
        for count in tqdm(counts, "memory of prepare", unit="size"):
            prepared = Path(name) / "prepared"
            table.append({"work": "prepare", "rows": count} | measured("prepare", count, prepared))
            shutil.rmtree(prepared)
    return pd.DataFrame(table)


def measured(*work: object) -> dict[str, float]:
    """Runs `pipeline.bench.memory` in a process and returns what it prints."""
    command = [sys.executable, "-m", "pipeline.bench.memory", *map(str, work)]
    return json.loads(
        subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
    )


def time_step(params: Params, grid: int, repeats: int) -> dict[str, float]:
    """Times a training step with stored tokens: the lab's attention and loss, and ours."""
    rng = np.random.default_rng(0)
    side = params.vqgan.cell * grid
    images = rng.integers(256, size=(64, side, side, 3), dtype=np.uint8)
    tokens = rng.integers(params.vqgan.codebook_size, size=(2, 64, grid**2), dtype=np.uint16)
    model = make_transformer(params, grid)
    adamw = [torch.optim.AdamW(model.parameters(), 1e-4)]
    choices = TrainingChoices(stored_tokens=True)
    lab = train_lab_transformer(model, None, tokens[0], tokens[0], BATCH, adamw, choices)
    ours = TransformerTrainer(
        make_transformer(params, grid, side),
        images,
        tokens,
        make_holes(params, grid, side),
        [],
        our_training(params, BATCH),
        make_gamma(params.train.gamma),
        seed=0,
    )
    ways = [Way("lab", partial(next, lab), 1), Way("ours", ours.step, 1)]
    seconds = time_race(Race(f"{grid**2} tokens", ways, [], repeats), repeats).seconds
    lab_seconds, ours_seconds = np.median(seconds, axis=0)
    return {
        "tokens": grid**2,
        "parameters": parameter_count(model),
        "lab_seconds": lab_seconds,
        "ours_seconds": ours_seconds,
    }


def plot_memory(table: pd.DataFrame, path: Path) -> None:
    """Plots memory and seconds by the number of rows, a colour for each piece of work."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8))
    for number, (work, rows) in enumerate(table.groupby("work")):
        style = {"marker": "o", "color": f"C{number}"}
        left.plot(rows["rows"], rows["own_mb"], label=f"{work}: its own", **style)
        left.plot(rows["rows"], rows["files_mb"], ls=":", label=f"{work}: pages of files", **style)
        unit = "a step" if work == "train" else "an image"
        right.plot(rows["rows"], 1000 * rows["seconds"], label=f"{work}, {unit}", **style)
    top = 1.6 * table[["own_mb", "files_mb"]].to_numpy().max()  # room for the legend
    left.set(xscale="log", xlabel="rows", ylabel="peak resident memory (MB)", ylim=(0, top))
    right.set(xscale="log", yscale="log", xlabel="rows", ylabel="milliseconds")
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.legend(loc="upper left" if axis is left else "center left")
    save(figure, path)


def plot_steps(table: pd.DataFrame, by: str, path: Path) -> None:
    """Plots the time of a training step by the column `by`: the lab's and ours."""
    figure, axis = plt.subplots(figsize=(5, 3.8))
    for name, label in (("lab_seconds", "the lab's"), ("ours_seconds", "ours")):
        axis.plot(table[by], 1000 * table[name], marker="o", label=label)
    axis.set(
        xscale="log", yscale="log", xlabel=by, ylabel=f"milliseconds a step (batches of {BATCH})"
    )
    axis.grid(alpha=0.3, which="both")
    axis.legend()
    save(figure, path)


def run_growth(repeats: int) -> None:
    """Writes three tables and their plots into reports/bench/."""
    laptop = load_params(preset="laptop")
    with stage_run("bench growth", {"repeats": repeats}, FOLDER) as run:
        tables = {
            "memory": memory_by_rows(ROWS),
            "tokens": pd.DataFrame([time_step(laptop, grid, repeats) for grid in GRIDS]),
            "parameters": pd.DataFrame(
                [time_step(load_params(preset=name), 16, repeats) for name in PRESETS]
            ),
        }
        with fresh_folder(FOLDER) as folder:
            for name, table in tables.items():
                table.to_csv(folder / f"{name}.csv", index=False)
                if name == "memory":
                    plot_memory(table, folder / "memory.png")
                else:
                    plot_steps(table, name, folder / f"{name}.png")
        run.log_artifact(FOLDER)
    for table in tables.values():
        cells = [
            [f"{value:.4g}" if isinstance(value, float) else str(value) for value in row]
            for row in table.itertuples(index=False)
        ]
        print(aligned([list(table.columns), *cells]) + "\n")
    print(f"Tables and plots: {FOLDER}/")
