"""Benchmark inputs: models of a preset's sizes with random weights, drawn images, holes."""

import numpy as np
import torch
from torch import nn

from maskgit.data.cats.cat import draw_cat
from maskgit.data.holes import draw_holes
from maskgit.tokenizer.hidden_tokens import hidden_tokens
from maskgit.tokenizer.quantizers import KMeans
from maskgit.tokenizer.settings import TokenizerConfig
from maskgit.tokenizer.vqgan import VQGAN
from maskgit.transformer.masking import Holes
from maskgit.transformer.model import MaskedTransformer
from maskgit.transformer.settings import TransformerSize, TransformerTraining
from pipeline.models.checkpoints import build
from pipeline.plumbing.params import Params

ENDLESS = 10**9


def parameter_count(model: nn.Module) -> int:
    """Returns the number of trained numbers; a codebook trained by running means counts too."""
    trained = sum(p.numel() for p in model.parameters())
    if isinstance(model, VQGAN) and isinstance(model.codebook, KMeans):
        trained += model.codebook.embedding.numel()
    return trained


def millions(model: nn.Module) -> str:
    """Returns the number of parameters as '1.23 M'."""
    return f"{parameter_count(model) / 1e6:.2f} M"


def draw_images(count: int, size: int) -> np.ndarray:
    """Draws cats, uint8 (count, size, size, 3)."""
    return np.stack([draw_cat(np.random.default_rng([0, i]), size) for i in range(count)])


def our_training(params: Params, batch_size: int) -> TransformerTraining:
    """Returns the stage's training settings, without end and without evaluations."""
    endless = {"steps": ENDLESS, "evaluations": 1, "batch_size": batch_size, "learning_rate": 1e-4}
    return params.train.changed(**endless).part(TransformerTraining)


def make_transformer(params: Params, grid: int, side: int = 0) -> MaskedTransformer:
    """Returns a transformer with random weights.

    side: pixels per side of the pictures that it sees; 0 for one that sees tokens only.
    """
    codes = make_tokenizer(params).codebook.unit_vectors
    model = build(
        MaskedTransformer,
        params.train.part(TransformerSize).model_dump()
        | {
            "codebook_size": len(codes),
            "latent_dim": codes.shape[1],
            "grid": grid,
            "cell": side // grid,
        },
    )
    model.set_codebook(codes)
    return model


def make_holes(params: Params, grid: int, side: int) -> Holes:
    """Draws holes of the preset's kinds and finds the tokens that they touch and cover."""
    holes = draw_holes(64, params.data.drawn_kinds, params.data.hole_area, side, 0)
    cell = side // grid
    hidden = hidden_tokens(torch.from_numpy(holes), cell, cell // 2)
    return Holes(torch.from_numpy(holes), *[part.flatten(1) for part in hidden])


def make_tokenizer(params: Params) -> VQGAN:
    """Returns a tokenizer of the preset's sizes with random weights, in evaluation mode."""
    return build(VQGAN, params.vqgan.part(TokenizerConfig).model_dump()).eval()
