"""What a piece of work needs, measured in a process of its own and printed as JSON (Linux only).

Used by pipeline.bench.growth: python -m pipeline.bench.memory WORK IMAGES TOKENS, the files of the
images, uint8 (n, H, W, 3), and of their tokens, uint16 (2, n, N), which `encode` writes.
"""

import json
import sys
import time
from pathlib import Path
from threading import Event, Thread

import numpy as np
from numpy.lib.format import open_memmap

from maskgit.schedules import SCHEDULES
from maskgit.tokenizer.vqgan import VQGAN
from maskgit.transformer.training import TransformerTrainer
from pipeline.bench.models import make_holes, make_transformer, our_training
from pipeline.models.checkpoints import build
from pipeline.plumbing.params import load_params
from pipeline.stages.encode import encode_split

IMAGES = 1024  # encoded at a time: these are of 16 x 16 pixels only
STEPS, BATCH = 100, 32  # of the training


def encode(images: Path, tokens: Path) -> float:
    """The stage's own loop, with the smallest tokenizer. Seconds an image."""
    tokenizer = build(VQGAN, {"channels": 16, "encoder_blocks": 0, "decoder_blocks": 0}).eval()
    count, side = np.load(images, mmap_mode="r").shape[:2]
    shape = (2, count, (side // tokenizer.cell) ** 2)
    open_memmap(tokens, mode="w+", dtype=np.uint16, shape=shape)
    start = time.perf_counter()
    encode_split(tokenizer, images, tokens, IMAGES)
    return (time.perf_counter() - start) / count


def train(images: Path, tokens: Path) -> float:
    """The stage's own loop, with the smallest transformer. Seconds a step."""
    params = load_params(preset="tiny")
    rows = [np.load(path, mmap_mode="r") for path in (images, tokens)]
    grid, side = round(rows[1].shape[2] ** 0.5), rows[0].shape[1]
    model, holes = make_transformer(params, grid, side), make_holes(params, grid, side)
    how, gamma = our_training(params, BATCH), SCHEDULES[params.train.gamma]
    trainer = TransformerTrainer(model, *rows, holes, [], how, gamma)
    trainer.step()
    start = time.perf_counter()
    for _ in range(STEPS):
        trainer.step()
    return (time.perf_counter() - start) / STEPS


def watch(stop: Event, peaks: dict[str, float]) -> None:
    """Keeps the peaks of what is in memory, in megabytes: the process's own (`own_mb`), and pages
    of files (`files_mb`), which the system takes back when it needs their place."""
    while True:
        for line in Path("/proc/self/status").read_text().splitlines():
            for field, name in (("RssAnon:", "own_mb"), ("RssFile:", "files_mb")):
                if line.startswith(field):
                    peaks[name] = max(peaks.get(name, 0.0), int(line.split()[1]) / 1e3)
        if stop.wait(0.02):
            return


def measure(work: str, images: Path, tokens: Path) -> dict[str, float]:
    stop, peaks = Event(), {}
    watcher = Thread(target=watch, args=(stop, peaks))
    watcher.start()
    try:
        seconds = {"encode": encode, "train": train}[work](images, tokens)
    finally:
        stop.set()
        watcher.join()
    return peaks | {"seconds": seconds}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], *map(Path, sys.argv[2:]))))
