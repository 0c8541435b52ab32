"""Defines the benchmarked steps: the lab's code, the lab's with single changes, and ours.

They run with random weights and drawn images, so that nothing has to be trained before.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from maskgit.data.holes import draw_holes
from maskgit.device import best_device, bf16_is_faster
from maskgit.inpainting.decoders import Confidence
from maskgit.inpainting.inpainter import Inpainter
from maskgit.lab.settings import LabChoices
from maskgit.lab.tokenizer import LabVQGAN
from maskgit.pixels import to_float
from maskgit.schedules import make_gamma
from maskgit.scoring.distances import frechet_distance
from maskgit.tokenizer.settings import TokenizerTraining
from maskgit.tokenizer.training import TokenizerTrainer
from maskgit.tokenizer.vqgan import VQGAN
from maskgit.training.optim import muon_and_adamw
from maskgit.transformer.training import TransformerTrainer
from pipeline.bench.models import (
    ENDLESS,
    draw_images,
    make_holes,
    make_tokenizer,
    make_transformer,
    millions,
    our_training,
    parameter_count,
)
from pipeline.bench.race import Race, Way
from pipeline.inputs.dataset import read_source
from pipeline.lab.way import (
    LabDecoding,
    TrainingChoices,
    lab_frechet_distance,
    load_lab_image,
    train_lab_tokenizer,
    train_lab_transformer,
    with_explicit_attention,
)
from pipeline.models.checkpoints import build
from pipeline.plumbing.params import Params

ITERATIONS = 8


@dataclass(frozen=True)
class Size:
    """How much work a timed run is; the sizes of the models are the preset's.

    Attributes:
        lab_tokenizer: arguments of LabVQGAN.
        trained: arguments of VQGAN, for a tokenizer with as many parameters.
        train: images a batch, and batches a run.
        repeats: of every way of every step, after one run to warm up.
    """

    lab_tokenizer: dict
    trained: dict
    train: tuple[int, int]
    tokenizer_batch: int
    inpaint_images: int
    repeats: int
    features: tuple[int, int] = (747, 2048)
    files: int = 400


def several(step: Callable[[], object], count: int) -> Callable[[], None]:
    """Returns a function that runs `count` steps of a training."""

    def run() -> None:
        for _ in range(count):
            step()

    return run


def step_all(optimisers: list[torch.optim.Optimizer]) -> None:
    """Does a step of each optimiser."""
    for optimiser in optimisers:
        optimiser.step()


def optimiser_excess(timed: int, real: int) -> tuple[float, list[str]]:
    """Returns the share of an optimiser's step that a smaller batch has in excess, and a note."""
    if timed >= real:
        return 0.0, []
    return 1 - timed / real, [f"the optimisers' steps are shared by {real} images, as in training"]


def train(params: Params, size: Size, folder: Path) -> Race:
    """Races a step of the transformer's training.

    Both sides have the same transformer, except that ours sees the known pixels too.
    """
    batch_size, steps = size.train
    images = draw_images(4 * batch_size, params.data.size)
    tokenizer = make_tokenizer(params)
    lab_tokenizer = build(LabVQGAN, size.lab_tokenizer).eval()
    grid = params.data.size // tokenizer.cell
    shape = (2, len(images), grid * grid)
    rng = np.random.default_rng(0)
    tokens = rng.integers(params.vqgan.codebook_size, size=shape, dtype=np.uint16)

    model = make_transformer(params, grid)
    adamw = [torch.optim.AdamW(model.parameters(), 1e-4)]
    matrices = [p for p in model.blocks.parameters() if p.ndim == 2]
    muon = muon_and_adamw(model, matrices, 1e-4, params.train.weight_decay, betas=(0.9, 0.98))
    gamma = make_gamma(params.train.gamma)
    how = our_training(params, batch_size)
    side = params.data.size
    ours = TransformerTrainer(
        make_transformer(params, grid, side),
        images,
        tokens,
        make_holes(params, grid, side),
        [],
        how,
        gamma,
        seed=0,
    )

    def lab(name: str, encoder: nn.Module = lab_tokenizer, **choices: bool) -> Way:
        optimisers = muon if choices.get("optimiser") else adamw
        training = train_lab_transformer(
            model, encoder, images, tokens[0], batch_size, optimisers, TrainingChoices(**choices)
        )
        per_batch = partial(step_all, optimisers)
        return Way(name, several(partial(next, training), steps), batch_size * steps, per_batch)

    ways = [
        lab("lab"),
        lab("lab + stored tokens", stored_tokens=True),
        lab("lab + our tokenizer", tokenizer),
        lab("lab + fused attention", fused_attention=True),
        lab("lab + hidden-only logits", hidden_only=True),
        lab("lab + our optimiser", optimiser=True),
    ]
    if bf16_is_faster(best_device()):
        ways.append(lab("lab + bf16", bf16=True))
    per_batch = partial(step_all, [ours.muon, ours.adamw])
    ways.append(Way("ours", several(ours.step, steps), batch_size * steps, per_batch))
    notes = [
        f"one transformer of {millions(model)} parameters, dropout {params.train.dropout}, "
        f"batches of {batch_size} on both sides",
        f"the lab's tokenizer has {millions(lab_tokenizer)}, ours {millions(tokenizer)}",
    ]
    excess, note = optimiser_excess(batch_size, params.train.batch_size)
    return Race("train", ways, notes + note, size.repeats, excess)


def inpaint(params: Params, size: Size, folder: Path) -> Race:
    """Races filling holes in 8 iterations.

    Both sides have the same transformer, except that ours sees the known pixels too.
    """
    count = size.inpaint_images
    images = draw_images(count, params.data.size)
    holes = draw_holes(count, params.data.drawn_kinds, params.data.hole_area, params.data.size, 0)
    tokenizer = make_tokenizer(params)
    lab_tokenizer = build(LabVQGAN, size.lab_tokenizer).eval()
    grid = params.data.size // tokenizer.cell
    transformer = make_transformer(params, grid, params.data.size).eval()
    tokens_only = make_transformer(params, grid).eval()
    explicit = with_explicit_attention(tokens_only)
    cosine = make_gamma("cosine")

    def fill(inpainter: Inpainter, iterations: int, batch_size: int) -> None:
        for start in range(0, count, batch_size):
            indices = range(count)[start : start + batch_size]
            batch = images[start : indices.stop], holes[start : indices.stop]
            for _ in inpainter.sweep_iterations(*batch, cosine, [iterations], 0, indices):
                pass

    def lab(
        name: str,
        encoder: nn.Module = lab_tokenizer,
        model: nn.Module = explicit,
        batch_size: int = 1,
        keep_tokens: bool = False,
        bf16: bool = False,
    ) -> Way:
        choices = LabChoices(total=ITERATIONS, keep_tokens=keep_tokens)
        decoding = LabDecoding(encoder, model, choices, bf16=bf16)
        # The lab's results are named by the index of their last step, from 0.
        return Way(name, partial(fill, decoding, ITERATIONS - 1, batch_size), count)

    batch_size = params.inpaint.batch_size
    ours = Inpainter(tokenizer, transformer, Confidence(temperature=params.inpaint.temperature))
    ways = [
        lab("lab"),
        lab("lab + batches", batch_size=batch_size),
        lab("lab + tokens kept", keep_tokens=True),
        lab("lab + our tokenizer", tokenizer),
        lab("lab + fused attention", model=tokens_only),
    ]
    if bf16_is_faster(best_device()):
        ways.append(lab("lab + bf16", bf16=True))
    ways.append(Way("ours", partial(fill, ours, ITERATIONS, batch_size), count))
    notes = [
        f"{count} images, {ITERATIONS} iterations; ours in batches of {min(batch_size, count)}, "
        "blending included",
        f"one transformer of {millions(transformer)} parameters; the lab's tokenizer has "
        f"{millions(lab_tokenizer)}, ours {millions(tokenizer)}",
    ]
    return Race("inpaint", ways, notes, max(1, size.repeats // 2))


def score(params: Params, size: Size, folder: Path) -> Race:
    """Races the Fréchet distance of two given sets of features."""
    count, width = size.features
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((count // 8, width))
    a, b = (
        np.maximum(0, rng.standard_normal((count, count // 8)) @ mixing * scale)
        for scale in (1.0, 1.1)
    )
    ways = [
        Way("lab", partial(lab_frechet_distance, a, b), count),
        Way("ours", lambda: frechet_distance(a, b).value, count),
    ]
    notes = [
        f"{count} x {width} features, given; the lab's way is pytorch-fid's, "
        "ours also says what each image adds"
    ]
    return Race("score", ways, notes, min(2, size.repeats), equal_results=True)


def save_files(folder: Path, params: Params, size: Size) -> list[Path]:
    """Writes JPEG files of the size of the lab's."""
    folder.mkdir()
    files = [folder / f"{i:05d}.jpg" for i in range(size.files)]
    for file, image in zip(files, draw_images(size.files, params.data.size), strict=True):
        Image.fromarray(image).save(file, quality=95)
    return files


def prepare(params: Params, size: Size, folder: Path) -> Race:
    """Races one pass over the files; ours also checks, hashes and rotates each picture upright."""
    data = params.data
    files = save_files(folder / "files", params, size)

    def lab() -> None:
        for file in files:
            load_lab_image(file, data.size)

    def ours() -> None:
        for _ in read_source(folder / "files", data.size, data.fit, data.min_side):
            pass

    notes = [f"{len(files)} JPEG files of {data.size} x {data.size}, once"]
    ways = [Way("lab", lab, len(files)), Way("ours", ours, len(files))]
    return Race("prepare", ways, notes, size.repeats)


def load(params: Params, size: Size, folder: Path) -> Race:
    """Races loading an epoch: the lab reads its files again, ours maps an array into memory."""
    files = save_files(folder / "epoch", params, size)
    stored = folder / "epoch.npy"
    np.save(stored, draw_images(size.files, params.data.size))

    def lab() -> None:
        for start in range(0, len(files), size.tokenizer_batch):
            batch = files[start : start + size.tokenizer_batch]
            torch.stack([load_lab_image(file, params.data.size) for file in batch])

    def ours() -> None:
        images = np.load(stored, mmap_mode="r")
        order = np.random.default_rng(0).permutation(len(images))
        for start in range(0, len(images), size.tokenizer_batch):
            to_float(images[order[start : start + size.tokenizer_batch]], torch.device("cpu"))

    notes = [f"the same {len(files)} images as batches of {size.tokenizer_batch}, in every epoch"]
    ways = [Way("lab", lab, len(files)), Way("ours", ours, len(files))]
    return Race("load", ways, notes, size.repeats)


def train_vqgan(params: Params, size: Size, folder: Path) -> Race:
    """Races a step of the tokenizer's training, without critic and perceptual loss."""
    batch_size = size.tokenizer_batch
    images = draw_images(4 * batch_size, params.data.size)
    endless = {"steps": ENDLESS, "evaluations": 1, "batch_size": batch_size, "learning_rate": 1e-4}
    weights = {"perceptual_weight": 0.0, "adversarial_weight": 0.0}
    how = TokenizerTraining(**dict(params.vqgan.part(TokenizerTraining)) | endless | weights)

    def ours(name: str, model: VQGAN) -> Way:
        trainer = TokenizerTrainer(model, images, images[:1], how, None, seed=0)
        per_batch = partial(step_all, [trainer.muon, trainer.adamw])
        return Way(name, trainer.step, batch_size, per_batch)

    theirs = build(LabVQGAN, size.lab_tokenizer)
    equal, preset = build(VQGAN, size.trained), make_tokenizer(params)
    adamw = torch.optim.AdamW(theirs.parameters(), 1e-4)
    training = train_lab_tokenizer(theirs, images, batch_size, adamw)
    ways = [Way("lab", partial(next, training), batch_size, adamw.step)]
    notes = [
        f"the lab's tokenizer has {millions(theirs)} parameters, ours {millions(equal)}; "
        f"batches of {batch_size}"
    ]
    if parameter_count(equal) != parameter_count(preset):
        ways.append(ours(f"ours of {millions(preset)}", preset))
        notes.append(f"the preset's own tokenizer has {millions(preset)}")
    ways.append(ours("ours", equal))
    excess, note = optimiser_excess(batch_size, params.vqgan.batch_size)
    return Race("train_vqgan", ways, notes + note, size.repeats, excess)


STEPS = {
    "train": train,
    "inpaint": inpaint,
    "score": score,
    "prepare": prepare,
    "load": load,
    "train_vqgan": train_vqgan,
}
