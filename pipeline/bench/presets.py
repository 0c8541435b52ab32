"""Measures what presets cost on a device: training steps, images a second, memory, minutes.

It runs with random weights, so that nothing has to be trained before, and with `accumulate`,
batches and sizes as the preset has them.
"""

import gc
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from maskgit.data.holes import draw_holes
from maskgit.device import DEVICE, best_device
from maskgit.inpainting.inpainter import Inpainter, image_generators
from maskgit.inpainting.kinds import make_inpainter
from maskgit.mean.codes import MeanInputs
from maskgit.mean.decoder import MeanDecoder, copied_layers
from maskgit.mean.settings import MeanDecoderSize, taught_config
from maskgit.schedules import ENTROPIC, Gamma, make_gamma
from maskgit.scoring.features import FALLBACK, efficientnet_lite
from maskgit.scoring.score import Evaluation
from maskgit.scoring.scores import compute_scores
from maskgit.tokenizer.kinds import encode_each
from maskgit.tokenizer.settings import TokenizerConfig, TokenizerTraining
from maskgit.tokenizer.training import TokenizerTrainer
from maskgit.training.drawing import DrawingTrainer
from maskgit.training.settings import Adversarial, DrawingTraining
from maskgit.training.trainer import Trainer
from maskgit.transformer.guidance import GuidedTransformer
from maskgit.transformer.training import TransformerTrainer
from maskgit.validation import Section
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
from pipeline.plumbing.errors import SMALLER, UserError, out_of_memory
from pipeline.plumbing.launch import cuda_graphs
from pipeline.plumbing.params import Data, Params, load_params
from pipeline.plumbing.places import REPORTS
from pipeline.plumbing.yaml_files import read_yaml
from pipeline.reporting.text import aligned
from pipeline.stages.report import scored_methods
from pipeline.tracking.stage import stage_run

TABLE = REPORTS / "bench_presets.csv"
WARM_UP = 5  # steps before the timed ones, in which networks are compiled or captured
TIMED, STEPS = 5, 8  # runs that are timed on a GPU, and steps in each; a processor does 3 and 1
ITERATIONS = 5  # of decoding


def random_images(params: Params, count: int) -> np.ndarray:
    """Returns noise, uint8 (count, size, size, 3), on which a step takes as long as on images."""
    shape = (count, params.data.size, params.data.size, 3)
    return np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)


def transformer_trainer(params: Params, batch: int, accumulate: int = 1) -> TransformerTrainer:
    """Returns a training of the preset's transformer on noise."""
    size = params.data.size
    grid = size // params.vqgan.cell
    model, gamma = make_transformer(params, grid, size), make_gamma(params.train.gamma)
    shape = (params.encode.views, 2 * batch, grid**2)
    codes = np.random.default_rng(0).integers(model.mask_token, size=shape, dtype=np.uint16)
    how = our_training(params, batch).changed(accumulate=accumulate)
    data = random_images(params, 2 * batch), codes, make_holes(params, grid, size), []
    return TransformerTrainer(model, *data, how, gamma, 0, cuda_graphs())


def tokenizer_trainer(
    params: Params, batch: int, accumulate: int = 1, joins: float = 1.0
) -> TokenizerTrainer:
    """Returns a training of the preset's tokenizer on noise.

    joins: 0 with the discriminator, if the preset has one, 1 before it joins.
    """
    endless = {"steps": ENDLESS, "evaluations": 1, "learning_rate": 1e-4, "batch_size": batch}
    endless |= {"discriminator_start": joins}
    how = params.vqgan.part(TokenizerTraining).changed(**endless, accumulate=accumulate)
    images = random_images(params, 2 * batch)
    perceptual = perceptual_network(how)
    model = make_tokenizer(params)
    return TokenizerTrainer(model, images, images[:1], how, perceptual, 0, cuda_graphs())


def decoder_trainer(
    params: Params, batch: int, accumulate: int = 1, joins: float = 1.0
) -> DrawingTrainer:
    """Returns a training of the preset's decoder of mean codes on noise, of undivided batches.

    joins: as `tokenizer_trainer`.
    """
    size = params.data.size
    endless = {"steps": ENDLESS, "evaluations": 1, "learning_rate": 1e-4, "batch_size": batch}
    endless |= {"discriminator_start": joins}
    how = params.mean_decoder.part(DrawingTraining).changed(**endless)
    tokenizer = make_tokenizer(params)
    transformer = make_transformer(params, size // params.vqgan.cell, size)
    sizes = params.vqgan.part(TokenizerConfig).model_dump()
    more = params.mean_decoder.part(MeanDecoderSize)
    model = build(MeanDecoder, taught_config(sizes, more, copied_layers(transformer)))
    mean_inputs = MeanInputs(tokenizer, transformer, model.layers)
    images = random_images(params, 2 * batch)
    holes = draw_holes(64, params.data.drawn_kinds, params.data.hole_area, size, 0)
    data = images, holes, params.encode.views, (images[:1], holes[:1])
    perceptual = perceptual_network(how)
    return DrawingTrainer(model, mean_inputs, model.hidden_matrices(), *data, how, perceptual, 0)


def step_flops(trainer: Callable[[int], Trainer], batch: int) -> float:
    """Returns the operations of a training step, from steps with few images.

    What the optimiser does once a step is counted once. trainer: makes one for a batch size.
    """
    few, more = (count_flops(trainer(images).step)[0] for images in (COUNTED, 2 * COUNTED))
    return few + (batch - COUNTED) * (more - few) / COUNTED


def free_memory() -> None:
    """Frees what earlier trainings hold: their graphs refer to them, so that only `gc` ends them.

    Forgets their compiled steps, too: torch compiles one function for at most eight models.
    """
    gc.collect()
    torch.compiler.reset()
    if best_device().type == "cuda":
        torch.cuda.empty_cache()


def step_seconds(make: Callable[[], Trainer], on_gpu: bool) -> float:
    """Returns the median seconds of a training step, compiled anew for this training."""
    free_memory()
    trainer = make()
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


def split_sizes(data: Data) -> tuple[int, int]:
    """Returns how many images train and how many test, of as many as the preset draws."""
    tested = data.test if isinstance(data.test, int) else round(data.test * data.count)
    return round((data.count - tested) * (1 - data.validation)), tested


def decoding_gamma(params: Params) -> Gamma:
    """Returns the schedule of the headline, or cosine where a trained transformer would tell it."""
    return make_gamma("cosine" if params.gamma == ENTROPIC else params.gamma)


class Training(NamedTuple):
    """A training of a preset: its name, its settings, and what makes its trainer."""

    name: str
    section: Section
    make: Callable[..., Trainer]

    @property
    def phases(self) -> list[tuple[float, Callable[..., Trainer]]]:
        """The parts of the training, by whether a discriminator has joined.

        Each with its share of the steps and what makes a trainer of params, batch and accumulate.
        """
        how = self.section
        if not isinstance(how, Adversarial) or not how.adversarial_weight:
            return [(1.0, self.make)]
        alone = how.discriminator_start
        return [(alone, self.make), (1 - alone, partial(self.make, joins=0.0))]


def trainings(params: Params) -> list[Training]:
    """Returns the trainings of a preset."""
    found = [
        Training("transformer", params.train, transformer_trainer),
        Training("tokenizer", params.vqgan, tokenizer_trainer),
    ]
    taught = Training("decoder", params.mean_decoder, decoder_trainer)
    return [*found, taught] if params.teaches_mean else found


def measure(params: Params) -> dict[str, object]:
    """Returns the row of a preset. A step counts as its mean over the training."""
    device, size = best_device(), params.data.size
    is_cuda, on_gpu = device.type == "cuda", device.type != "cpu"
    # With dropout a processor keeps all weights of attention, unlike a GPU; without, it is fused.
    counted = params.changed(train=params.train.changed(dropout=0.0))
    row = {"device": device.type}
    trained, tested = split_sizes(params.data)
    token_bytes = 4 * params.encode.views * (size // params.vqgan.cell) ** 2
    data = trained * (size**2 * 3 + token_bytes)
    minutes, gigabytes = 0.0, []
    free_memory()
    if is_cuda:
        torch.cuda.reset_peak_memory_stats()
    for training in trainings(params):
        batch = training.section.batch_size
        accumulate = getattr(training.section, "accumulate", 1)
        flops = seconds = 0.0
        for share, make in training.phases:
            flops += share * step_flops(partial(make, params), batch)
            seconds += share * step_seconds(partial(make, params, batch, accumulate), on_gpu)
        row |= {
            f"{training.name}_ms": 1000 * seconds,
            f"{training.name}_images_s": batch / seconds,
            f"{training.name}_peak": utilisation(flops / seconds) if is_cuda else None,
        }
        minutes += training.section.steps * seconds / 60
        last = partial(training.phases[-1][1], counted)
        gigabytes.append(training_gigabytes(last, batch, accumulate, data))
    row["gigabytes"] = max(gigabytes)
    row["gigabytes_used"] = torch.cuda.max_memory_allocated() / 1e9 if is_cuda else None

    free_memory()
    count = min(tested, params.inpaint.batch_size if on_gpu else 32)
    images = draw_images(count, size)
    holes = draw_holes(count, params.data.drawn_kinds, params.data.hole_area, size, 0)
    inpainter, gamma = trained_inpainter(params), decoding_gamma(params)

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
    }
    minutes += filling_minutes(params, row) + trained * params.encode.views / (
        60 * row["encode_images_s"]
    )
    return row | {"minutes": minutes}


def filling_minutes(params: Params, row: dict) -> float:
    """Returns the minutes in which all methods fill and score the test images, by their rates."""
    _, tested = split_sizes(params.data)
    plans = [params.inpaint.plan(name) for name in scored_methods(params, params.teaches_mean)]
    fills = tested * sum(len(counts) * fills for counts, fills in plans)
    passes = tested * sum(sum(counts) * fills for counts, fills in plans) / ITERATIONS
    return (passes / row["inpaint_images_s"] + fills / row["score_images_s"]) / 60


LEGEND = f"""\
A step counts as its mean over the training, with and without a discriminator.
The share of the peak is of the card's dense bf16 peak; empty where the project does not know it.
inpaint: {ITERATIONS} iterations, with blending; score: all scores of filled images.
GB: of the largest training, first as estimated for a GPU, then as the GPU counted it.
Not timed: the tokenizer's last steps, for each of which holes are drawn on a processor.
minutes: trainings, encode, inpaint and score."""
COLUMNS = {
    "transformer_ms": "transformer: ms a step",
    "transformer_images_s": "transformer: images/s",
    "transformer_peak": "transformer: share of the peak",
    "tokenizer_ms": "tokenizer: ms a step",
    "tokenizer_images_s": "tokenizer: images/s",
    "tokenizer_peak": "tokenizer: share of the peak",
    "decoder_ms": "decoder of mean: ms a step",
    "decoder_images_s": "decoder of mean: images/s",
    "decoder_peak": "decoder of mean: share of the peak",
    "encode_images_s": "encode: images/s",
    "inpaint_images_s": "inpaint: images/s",
    "score_images_s": "score: images/s",
    "gigabytes": "GB, estimated",
    "gigabytes_used": "GB, measured",
    "minutes": "minutes",
}


def cell(name: str, value: float | None) -> str:
    """Returns a number to three digits or the unit, or a share in percent; '' for none."""
    if pd.isna(value):
        return ""
    if name.endswith("_peak"):
        return f"{value:.1%}"
    return number(value) if value < 100 else f"{value:,.0f}"


def readable(table: pd.DataFrame) -> list[list[str]]:
    """Returns the cells to print: a line for each quantity, a column for each preset."""
    lines = [["", *table["preset"]]]
    for name, label in COLUMNS.items():
        lines.append([label, *(cell(name, value) for value in table[name])])
    return lines


def preset_names(listed: str) -> list[str]:
    """Returns the presets of a list with commas, each once. Raises UserError for an unknown one."""
    known = read_yaml(Path("presets.yaml"))
    names = list(dict.fromkeys(name.strip() for name in listed.split(",")))
    for name in names:
        if name not in known:
            raise UserError(f"--presets: {name!r} should be of {', '.join(known)}")
    return names


def run_presets(device: str | None, presets: Sequence[str]) -> None:
    """Measures presets on a device, prints a column for each, and writes the table.

    A preset that needs more memory than there is has an empty row. Raises UserError.

    device: cuda, mps or cpu; None for the best one.
    """
    if device is not None:
        os.environ[DEVICE] = device
    found = [load_params(preset=name) for name in presets]  # all are checked before the first runs
    print(f"{machine()}; random weights, medians")
    values = {"presets": ",".join(presets), "machine": machine()}
    with stage_run("bench presets", values, TABLE) as run:
        TABLE.parent.mkdir(parents=True, exist_ok=True)
        rows = []
        for params, name in zip(found, presets, strict=True):
            rows.append(dict.fromkeys(["preset", "device", *COLUMNS]) | {"preset": name})
            try:
                rows[-1] |= measure(params)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                print(f"{name}: out of memory; {SMALLER}")
            made = pd.DataFrame(rows)
            made.to_csv(TABLE, index=False)  # a preset that fails leaves the rows before it
        run.log_artifact(TABLE)
        run.log_table(made, "bench_presets.json")
    print(aligned(readable(made)))
    print(f"\n{LEGEND}\nTable: {TABLE}")
