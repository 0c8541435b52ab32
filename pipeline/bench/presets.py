"""Measures what presets cost on a device: training steps, images a second, memory, minutes.

It runs with random weights, so that nothing has to be trained before, and with `accumulate`,
batches and sizes as the preset has them.
"""

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import torch

from maskgit.data.holes import draw_holes
from maskgit.device import DEVICE, best_device
from maskgit.inpainting.inpainter import Inpainter, image_generators
from maskgit.inpainting.kinds import make_inpainter
from maskgit.mean.codes import MeanLook
from maskgit.mean.decoder import MeanDecoder
from maskgit.schedules import make_gamma
from maskgit.scoring.features import FALLBACK, efficientnet_lite
from maskgit.scoring.score import Evaluation
from maskgit.scoring.scores import compute_scores
from maskgit.tokenizer.kinds import encode_each
from maskgit.tokenizer.settings import TokenizerConfig, TokenizerTraining
from maskgit.tokenizer.training import TokenizerTrainer
from maskgit.training.drawing import DrawingTrainer
from maskgit.training.settings import DrawingTraining
from maskgit.training.trainer import Trainer
from maskgit.transformer.guidance import GuidedTransformer
from maskgit.transformer.training import TransformerTrainer
from pipeline.bench.models import (
    ENDLESS,
    draw_images,
    make_holes,
    make_tokenizer,
    make_transformer,
    our_training,
)
from pipeline.bench.race import count_flops, machine, time_run
from pipeline.bench.step_memory import COUNTED, training_gigabytes
from pipeline.bench.table import number, utilisation
from pipeline.models.checkpoints import build
from pipeline.models.perceptual import perceptual_network
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.launch import cuda_graphs
from pipeline.plumbing.params import Params, load_params
from pipeline.plumbing.places import REPORTS
from pipeline.reporting.text import aligned
from pipeline.stages.report import scored_methods
from pipeline.tracking.stage import stage_run

TABLE = REPORTS / "bench_presets.csv"
WARM_UP = 5  # steps before the timed ones, in which networks are compiled or captured
TIMED, STEPS = 5, 8  # runs that are timed on a GPU, and steps in each; a processor does 3 and 1
ITERATIONS = 5  # of decoding


def use_device(name: str) -> None:
    """Makes `best_device` that of this name. Raises UserError where the machine has none."""
    found = {"cpu": True, "cuda": torch.cuda.is_available()}
    found["mps"] = torch.backends.mps.is_available()
    if not found.get(name):
        names = ", ".join(each for each, there in found.items() if there)
        raise UserError(f"--device: this machine has {names}, not {name!r}")
    os.environ[DEVICE] = name


def random_images(params: Params, count: int) -> np.ndarray:
    """Returns noise, uint8 (count, size, size, 3), on which a step takes as long as on images."""
    shape = (count, params.data.size, params.data.size, 3)
    return np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)


def transformer_trainer(params: Params, batch: int, accumulate: int = 1) -> TransformerTrainer:
    """Returns a training of the preset's transformer on noise."""
    size, tokens = params.data.size, params.vqgan.codebook_size
    grid = size // params.vqgan.cell
    shape = (params.encode.views, 2 * batch, grid**2)
    codes = np.random.default_rng(0).integers(tokens, size=shape, dtype=np.uint16)
    how = our_training(params, batch).changed(accumulate=accumulate)
    data = random_images(params, 2 * batch), codes, make_holes(params, grid, size), []
    model, gamma = make_transformer(params, grid, size), make_gamma(params.train.gamma)
    return TransformerTrainer(model, *data, how, gamma, 0, cuda_graphs())


def tokenizer_trainer(params: Params, batch: int, accumulate: int = 1) -> TokenizerTrainer:
    """Returns a training of the preset's tokenizer on noise, before the discriminator joins."""
    endless = {"steps": ENDLESS, "evaluations": 1, "learning_rate": 1e-4, "batch_size": batch}
    how = params.vqgan.part(TokenizerTraining).changed(**endless, accumulate=accumulate)
    images = random_images(params, 2 * batch)
    perceptual = perceptual_network(how)
    model = make_tokenizer(params)
    return TokenizerTrainer(model, images, images[:1], how, perceptual, 0, cuda_graphs())


def decoder_trainer(params: Params, batch: int) -> DrawingTrainer:
    """Returns a training of the preset's decoder of mean codes on noise, with its discriminator."""
    size = params.data.size
    endless = {"steps": ENDLESS, "evaluations": 1, "learning_rate": 1e-4, "discriminator_start": 0}
    how = params.mean_decoder.part(DrawingTraining).changed(**endless, batch_size=batch)
    tokenizer = make_tokenizer(params)
    transformer = make_transformer(params, size // params.vqgan.cell, size)
    sizes = params.vqgan.part(TokenizerConfig).model_dump()
    model = build(MeanDecoder, sizes | {"more_blocks": params.mean_decoder.more_blocks})
    look = MeanLook(tokenizer, transformer)
    images = random_images(params, 2 * batch)
    holes = draw_holes(64, params.data.drawn_kinds, params.data.hole_area, size, 0)
    data = images, holes, params.encode.views, (images[:1], holes[:1])
    perceptual = perceptual_network(how)
    return DrawingTrainer(model, look, model.hidden_convolutions(), *data, how, perceptual, 0)


def step_flops(trainer: Callable[[int], Trainer], batch: int) -> float:
    """Returns the operations of a training step, from steps with few images.

    What the optimiser does once a step is counted once. trainer: makes one for a batch size.
    """
    few, more = (count_flops(trainer(images).step)[0] for images in (COUNTED, 2 * COUNTED))
    return few + (batch - COUNTED) * (more - few) / COUNTED


def step_seconds(trainer: Trainer, on_gpu: bool) -> float:
    """Returns the median seconds of a training step, compiled anew for this training."""
    torch.compiler.reset()  # torch compiles one function for at most eight models
    for _ in range(WARM_UP if on_gpu else 1):
        trainer.step()
    runs, steps = (TIMED, STEPS) if on_gpu else (3, 1)

    def run() -> None:
        for _ in range(steps):
            trainer.step()

    return median(time_run(run) for _ in range(runs)) / steps


def rate(run: Callable[[], object], images: int, on_gpu: bool) -> float:
    """Returns the images a second of a run of `images` images, after one to warm up."""
    run()
    return images / median(time_run(run) for _ in range(TIMED if on_gpu else 1))


def trained_inpainter(params: Params) -> Inpainter:
    """Returns an inpainter of the preset's sizes and settings with random weights."""
    tokenizer, grid = make_tokenizer(params), params.data.size // params.vqgan.cell
    plain = make_transformer(params, grid, params.data.size)
    sizes = {"codebook_size": plain.mask_token, "latent_dim": plain.codebook.shape[1], "grid": grid}
    sizes |= {name: getattr(params.train, name) for name in ("dim", "heads", "layers", "dropout")}
    guided = build(GuidedTransformer, sizes | {"cell": params.vqgan.cell})
    return make_inpainter(params.decoding, tokenizer, guided.copy_weights(plain, plain))


def measure(params: Params, preset: str) -> dict[str, object]:
    """Returns the row of a preset."""
    device, size = best_device(), params.data.size
    # With dropout a processor keeps all weights of attention, unlike a GPU; without, it is fused.
    counted = params.changed(train=params.train.changed(dropout=0.0))
    on_gpu = device.type != "cpu"
    row = {"preset": preset, "device": device.type, "decoder_ms": None}
    trained = params.data.count - round(params.data.count * params.data.validation)
    data = trained * (size**2 * 3 + 2 * params.encode.views * (size // params.vqgan.cell) ** 2)
    minutes, gigabytes = 0.0, []
    for part, section, make in (
        ("transformer", params.train, transformer_trainer),
        ("tokenizer", params.vqgan, tokenizer_trainer),
    ):
        batch, accumulate = section.batch_size, section.accumulate
        flops = step_flops(partial(make, params), batch)
        seconds = step_seconds(make(params, batch, accumulate), on_gpu)
        row |= {
            f"{part}_ms": 1000 * seconds,
            f"{part}_images_s": batch / seconds,
            f"{part}_peak": utilisation(flops / seconds) if device.type == "cuda" else None,
        }
        minutes += section.steps * seconds / 60
        gigabytes.append(training_gigabytes(partial(make, counted), batch, accumulate, data))
    if params.teaches_mean:
        batch = params.mean_decoder.batch_size
        seconds = step_seconds(decoder_trainer(params, batch), on_gpu)
        row["decoder_ms"] = 1000 * seconds
        minutes += params.mean_decoder.steps * seconds / 60
        gigabytes.append(training_gigabytes(partial(decoder_trainer, params), batch, 1, data))

    count = min(params.data.test, params.inpaint.batch_size if on_gpu else 32)
    images = draw_images(count, size)
    holes = draw_holes(count, params.data.drawn_kinds, params.data.hole_area, size, 0)
    inpainter, gamma = trained_inpainter(params), make_gamma(params.gamma)

    def fill() -> np.ndarray:
        generators = image_generators(0, range(count))
        return inpainter(images, holes, gamma, ITERATIONS, generators).images

    filled, extractor = fill(), efficientnet_lite(FALLBACK)
    features = extractor(images)

    def score() -> None:
        compute_scores(Evaluation([filled], images, holes, features, extractor))

    encode = partial(encode_each, inpainter.tokenizer, images)
    row |= {
        "encode_images_s": rate(encode, count, on_gpu),
        "inpaint_images_s": rate(fill, count, on_gpu),
        "score_images_s": rate(score, count, on_gpu),
        "gigabytes": max(gigabytes),
    }
    if device.type == "cuda":
        row["gigabytes_used"] = torch.cuda.max_memory_allocated() / 1e9
        torch.cuda.reset_peak_memory_stats()
    minutes += filling_minutes(params, row) + trained * params.encode.views / (
        60 * row["encode_images_s"]
    )
    return row | {"minutes": minutes}


def filling_minutes(params: Params, row: dict) -> float:
    """Returns the minutes in which all methods fill and score the test images, by their rates."""
    tested = params.data.test
    if isinstance(tested, float):  # a share
        tested = round(tested * params.data.count)
    plans = [params.inpaint.plan(name) for name in scored_methods(params)]
    fills = tested * sum(len(counts) * fills for counts, fills in plans)
    passes = tested * sum(sum(counts) * fills for counts, fills in plans) / ITERATIONS
    return (passes / row["inpaint_images_s"] + fills / row["score_images_s"]) / 60


LEGEND = f"""\
ms: of a training step; peak: its share of the card's dense bf16 peak
inpaint: {ITERATIONS} iterations, with blending; score: all scores of filled images
GB: of the largest training, as estimated; minutes: trainings, encode, inpaint and score"""
COLUMNS = {
    "transformer_ms": "transformer ms",
    "transformer_images_s": "images/s",
    "transformer_peak": "peak",
    "tokenizer_ms": "tokenizer ms",
    "tokenizer_images_s": "images/s",
    "tokenizer_peak": "peak",
    "decoder_ms": "mean decoder ms",
    "encode_images_s": "encode/s",
    "inpaint_images_s": "inpaint/s",
    "score_images_s": "score/s",
    "gigabytes": "GB",
    "minutes": "minutes",
}


def digits(value: float) -> str:
    """Returns a number to three digits, or to the unit where it is large; '' for none."""
    return number(value) if pd.isna(value) or value < 100 else f"{value:,.0f}"


def readable(table: pd.DataFrame) -> list[list[str]]:
    """Returns the cells to print: numbers to three digits, shares of the peak in percent."""
    rows = [["preset", *COLUMNS.values()]]
    for row in table.to_dict("records"):
        cells = [
            f"{row[name]:.1%}" if name.endswith("_peak") and row[name] else digits(row[name])
            for name in COLUMNS
        ]
        rows.append([row["preset"], *cells])
    return rows


def run_presets(device: str | None, presets: Iterable[str], table: Path = TABLE) -> None:
    """Measures presets on a device, prints a row for each, and writes the table. Raises UserError.

    device: cuda, mps or cpu; None for the best one.
    """
    if device is not None:
        use_device(device)
    named = list(presets)
    found = [
        load_params(preset=preset) for preset in named
    ]  # all are checked before the first runs
    print(f"{machine()}; random weights, medians")
    with stage_run(
        "bench presets", {"presets": ",".join(named), "machine": machine()}, table
    ) as run:
        table.parent.mkdir(parents=True, exist_ok=True)
        rows = []
        for pair in zip(found, named, strict=True):
            rows.append(measure(*pair))
            made = pd.DataFrame(rows)
            made.to_csv(table, index=False)  # a preset that fails leaves the rows before it
        run.log_artifact(table)
        run.log_table(made, "bench_presets.json")
    print(aligned(readable(made)))
    print(f"\n{LEGEND}\nTable: {table}")
