"""What a piece of work needs, measured in a process of its own and printed as JSON (Linux only).

Used by pipeline.bench.growth: python -m pipeline.bench.memory WORK ROWS, where ROWS is the file of
the images, uint8 (n, H, W, 3), for `encode`, and of the tokens, uint16 (2, n, N), for `train`.
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
from pipeline.bench.models import make_transformer, our_training
from pipeline.models.checkpoints import build
from pipeline.plumbing.params import load_params
from pipeline.stages.encode import encode_split

IMAGES = 1024  # encoded at a time: these are of 16 x 16 pixels only
STEPS, BATCH = 100, 32  # of the training


def encode(rows: Path) -> float:
    """The stage's own loop, with the smallest tokenizer. Seconds an image."""
    tokenizer = build(VQGAN, {"channels": 16, "encoder_blocks": 0, "decoder_blocks": 0}).eval()
    count, side = np.load(rows, mmap_mode="r").shape[:2]
    target = rows.with_name("encoded.npy")
    shape = (2, count, (side // tokenizer.cell) ** 2)
    open_memmap(target, mode="w+", dtype=np.uint16, shape=shape)
    start = time.perf_counter()
    encode_split(tokenizer, rows, target, IMAGES)
    return (time.perf_counter() - start) / count


def train(rows: Path) -> float:
    """The stage's own loop, with the smallest transformer. Seconds a step."""
    params = load_params(preset="tiny")
    tokens = np.load(rows, mmap_mode="r")
    model = make_transformer(params, round(tokens.shape[2] ** 0.5))
    holes = np.random.default_rng(0).random((64, tokens.shape[2])) < 0.2
    how, gamma = our_training(params, BATCH), SCHEDULES[params.train.gamma]
    trainer = TransformerTrainer(model, tokens, [], how, gamma, holes)
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


def measure(work: str, rows: Path) -> dict[str, float]:
    stop, peaks = Event(), {}
    watcher = Thread(target=watch, args=(stop, peaks))
    watcher.start()
    try:
        seconds = {"encode": encode, "train": train}[work](rows)
    finally:
        stop.set()
        watcher.join()
    return peaks | {"seconds": seconds}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]))))
