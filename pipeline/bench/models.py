"""What races: models of a preset's sizes with random weights, drawn images, endless trainings."""

import numpy as np
import torch
from torch import nn

from maskgit.data.cats.cat import draw_cat
from maskgit.data.holes import draw_holes
from maskgit.tokenizer.hidden_tokens import hidden_tokens
from maskgit.tokenizer.quantizers import KMeans
from maskgit.tokenizer.vqgan import VQGAN
from maskgit.transformer.masking import Holes
from maskgit.transformer.model import MaskedTransformer
from maskgit.transformer.training import TransformerTraining
from pipeline.models.checkpoints import build
from pipeline.plumbing.params import Params

ENDLESS = 10**9


def parameter_count(model: nn.Module) -> int:
    """Trained numbers; a codebook counts, whether gradients or running means train it."""
    trained = sum(p.numel() for p in model.parameters())
    if isinstance(model, VQGAN) and isinstance(model.codebook, KMeans):
        trained += model.codebook.embedding.numel()
    return trained


def millions(model: nn.Module) -> str:
    return f"{parameter_count(model) / 1e6:.2f} M"


def draw_images(count: int, size: int) -> np.ndarray:
    """uint8 (count, size, size, 3)."""
    return np.stack([draw_cat(np.random.default_rng([0, i]), size) for i in range(count)])


def our_training(params: Params, batch_size: int) -> TransformerTraining:
    """The training of the stage, with no end and no evaluation."""
    train = params.train
    return TransformerTraining(
        steps=ENDLESS,
        batch_size=batch_size,
        learning_rate=1e-4,
        warmup=train.warmup,
        weight_decay=train.weight_decay,
        label_smoothing=train.label_smoothing,
        gradient_clip=train.gradient_clip,
        ema_decay=train.ema_decay,
        hole_share=train.hole_share,
        evaluate_every=ENDLESS,
        seed=0,
    )


def make_transformer(params: Params, grid: int, side: int = 0) -> MaskedTransformer:
    """side: of the pictures that it sees, in pixels; 0 for one that sees tokens only."""
    model = build(
        MaskedTransformer,
        params.train.model_dump(include={"dim", "heads", "layers", "dropout"})
        | {
            "codebook_size": params.vqgan.codebook_size,
            "latent_dim": params.vqgan.latent_dim,
            "grid": grid,
            "cell": side // grid,
        },
    )
    codes = torch.randn(params.vqgan.codebook_size, params.vqgan.latent_dim)
    model.know_codebook(nn.functional.normalize(codes, dim=1))
    return model


def make_holes(params: Params, grid: int, side: int) -> Holes:
    """Holes of the preset's kind, and what they hide of our tokenizer's tokens."""
    holes = draw_holes(64, params.data.holes, params.data.hole_area, side, 0)
    cell = side // grid
    hidden = hidden_tokens(torch.from_numpy(holes), cell, cell // 2)
    return Holes(torch.from_numpy(holes), *[part.flatten(1) for part in hidden])


def make_tokenizer(params: Params) -> VQGAN:
    names = {"cell", "channels", "encoder_blocks", "decoder_blocks"}
    names |= {"latent_dim", "quantizer", "codebook_size"}
    return build(VQGAN, params.vqgan.model_dump(include=names)).eval()
