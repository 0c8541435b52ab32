"""Measures memory and time of a piece of work in its own process; prints JSON (Linux only).

Used by pipeline.bench.growth:

    python -m pipeline.bench.memory encode IMAGES TOKENS
    python -m pipeline.bench.memory train IMAGES TOKENS
    python -m pipeline.bench.memory prepare COUNT FOLDER

IMAGES is the file of the images, uint8 (n, H, W, 3), TOKENS that of their tokens, uint16 (2, n, N),
which `encode` writes. `prepare` draws COUNT images of the same size into a new folder.
"""

import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import numpy as np
from numpy.lib.format import open_memmap

from maskgit.schedules import make_gamma
from maskgit.tokenizer.vqgan import VQGAN
from maskgit.transformer.training import TransformerTrainer
from pipeline.bench.models import make_holes, make_transformer, our_training
from pipeline.models.checkpoints import build
from pipeline.plumbing.params import load_params
from pipeline.plumbing.workers import Workers
from pipeline.stages.encode import encode_split
from pipeline.stages.prepare import prepare as prepare_images

IMAGES = 1024  # encoded at a time; they have 16 x 16 pixels only
STEPS, BATCH = 100, 32  # of the training
SIDE = 16  # of the prepared images, in pixels


def encode(images: str, tokens: str) -> float:
    """Runs the loop of stage encode with the smallest tokenizer; returns seconds per image."""
    tokenizer = build(VQGAN, {"channels": 16, "encoder_blocks": 0, "decoder_blocks": 0}).eval()
    count, side = np.load(images, mmap_mode="r").shape[:2]
    shape = (2, count, (side // tokenizer.cell) ** 2)
    open_memmap(tokens, mode="w+", dtype=np.uint16, shape=shape)
    start = time.perf_counter()
    encode_split(tokenizer, Path(images), Path(tokens), IMAGES)
    return (time.perf_counter() - start) / count


def train(images: str, tokens: str) -> float:
    """Runs steps of the training with the smallest transformer; returns seconds per step."""
    params = load_params(preset="tiny")
    rows = [np.load(path, mmap_mode="r") for path in (images, tokens)]
    grid, side = round(rows[1].shape[2] ** 0.5), rows[0].shape[1]
    model, holes = make_transformer(params, grid, side), make_holes(params, grid, side)
    how, gamma = our_training(params, BATCH), make_gamma(params.train.gamma)
    trainer = TransformerTrainer(model, *rows, holes, [], how, gamma, seed=0)
    trainer.step()
    start = time.perf_counter()
    for _ in range(STEPS):
        trainer.step()
    return (time.perf_counter() - start) / STEPS


def prepare(count: str, folder: str) -> float:
    """Runs stage prepare without MLflow; returns seconds per image."""
    data = load_params(preset="tiny").data
    data = data.changed(source="synthetic", count=int(count), size=SIDE)
    Path(folder).mkdir(parents=True)
    start = time.perf_counter()
    with Workers() as workers:
        prepare_images(data, 0, Path(folder), workers)
    return (time.perf_counter() - start) / data.count


def resident(process: Path) -> dict[str, float]:
    """Returns the resident megabytes of a process of /proc: its own, and pages of files."""
    fields = {"RssAnon:": "own_mb", "RssFile:": "files_mb"}
    lines = map(str.split, (process / "status").read_text(encoding="utf-8").splitlines())
    return {fields[line[0]]: int(line[1]) / 1e3 for line in lines if line[0] in fields}


def started_by(process: Path) -> list[dict[str, float]]:
    """Returns `resident` of each child process that runs its own program already."""
    found = []
    for children in process.glob("task/*/children"):
        with suppress(OSError):  # for threads and processes that have ended
            for child in (
                Path("/proc", pid) for pid in children.read_text(encoding="utf-8").split()
            ):
                if (child / "cmdline").read_bytes() != (process / "cmdline").read_bytes():
                    found.append(resident(child))
    return found


def watch(stop: Event, peaks: dict[str, float]) -> None:
    """Records peaks of resident memory in megabytes until `stop` is set.

    own_mb: of this process and its children. files_mb: pages of files, which the system frees when
    it needs memory, of the process with the most, since processes share them.
    """
    while True:
        now = [resident(Path("/proc/self")), *started_by(Path("/proc/self"))]
        for name, together in (("own_mb", sum), ("files_mb", max)):
            megabytes = together(one.get(name, 0.0) for one in now)
            peaks[name] = max(peaks.get(name, 0.0), megabytes)
        if stop.wait(0.02):
            return


def measure(work: str, *arguments: str) -> dict[str, float]:
    """Runs a piece of work and returns its peaks of memory and its seconds."""
    stop, peaks = Event(), {}
    watcher = Thread(target=watch, args=(stop, peaks))
    watcher.start()
    try:
        seconds = {"encode": encode, "train": train, "prepare": prepare}[work](*arguments)
    finally:
        stop.set()
        watcher.join()
    return peaks | {"seconds": seconds}


if __name__ == "__main__":
    print(json.dumps(measure(*sys.argv[1:])))
