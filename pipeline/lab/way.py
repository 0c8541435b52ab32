"""The original lab's training and scoring, which the bench times.

Each of its choices can be replaced by ours, to measure the effect of that choice.
"""

import math
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from maskgit.device import autocast
from maskgit.lab.decoder import LabInpainter
from maskgit.lab.settings import LabChoices
from maskgit.lab.tokenizer import LabVQGAN
from maskgit.pixels import to_float
from maskgit.scoring.torchvision_import import import_torchvision
from maskgit.training.losses import reconstruction_loss
from maskgit.training.optim import update_ema
from maskgit.transformer.model import MaskedTransformer, SelfAttention, norm

import_torchvision()
from pytorch_fid.fid_score import calculate_frechet_distance


class ExplicitAttention(SelfAttention):
    """Self-attention, softmax(q k^T / sqrt(dim / heads)) v, with (B, heads, N, N) in memory."""

    def split(self, x: Tensor) -> Tensor:
        """Splits (B, N, dim) into heads, (B, heads, N, dim / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        q = norm(self.split(self.query(x)))
        k = norm(self.split(self.key(x)))
        v = self.split(self.value(x))
        weights = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(dim=-1)
        weights = F.dropout(weights, self.dropout, self.training)
        return self.output((weights @ v).transpose(1, 2).flatten(2))


def with_explicit_attention(model: MaskedTransformer) -> MaskedTransformer:
    """Returns a model that shares the parameters of `model`, with explicit attention."""
    twin = deepcopy(model, {id(p): p for p in model.parameters()})
    for block in twin.blocks:
        block.attention.__class__ = ExplicitAttention
    return twin


def hidden_only_loss(model: MaskedTransformer, tokens: Tensor, hidden: Tensor) -> Tensor:
    """Returns the mean cross-entropy of the hidden tokens, for a model that sees tokens only."""
    return F.cross_entropy(model(model.hide(tokens, hidden), where=hidden), tokens[hidden])


def lab_loss(model: MaskedTransformer, tokens: Tensor, hidden: Tensor) -> Tensor:
    """Returns the lab's loss: cross-entropy with one-hot targets (B, N, K), of all tokens.

    cross_entropy takes the second dimension as classes, so that the softmax is over positions.
    """
    logits = model(model.hide(tokens, hidden))
    return F.cross_entropy(logits, F.one_hot(tokens, logits.shape[2]).float())


@dataclass(frozen=True)
class TrainingChoices:
    """Which of the lab's choices in training are replaced by ours; all False is the lab's way."""

    stored_tokens: bool = False
    fused_attention: bool = False
    hidden_only: bool = False
    bf16: bool = False
    optimiser: bool = (
        False  # with clipped gradients and averaged weights, which the lab does not have
    )


def train_lab_transformer(
    model: MaskedTransformer,
    tokenizer: nn.Module,
    images: np.ndarray,
    tokens: np.ndarray,
    batch_size: int,
    optimisers: list[torch.optim.Optimizer],
    choices: TrainingChoices = TrainingChoices(),
) -> Iterator[float]:
    """Trains on uint8 images (n, H, W, 3) or their tokens (n, N); yields the loss of each step."""
    device = next(model.parameters()).device
    shown = model if choices.fused_attention else with_explicit_attention(model)
    average = deepcopy(model) if choices.optimiser else None
    rng = np.random.default_rng(0)
    while True:
        shown.train()
        index = rng.integers(len(images), size=batch_size)
        if choices.stored_tokens:
            batch = torch.from_numpy(tokens[index].astype(np.int64)).to(device)
        else:
            batch = tokenizer.encode(to_float(images[index], device)).flatten(1)
        ratio = rng.random()  # one for the whole batch
        hidden = torch.rand(batch.shape, device=device) < ratio
        with autocast(device) if choices.bf16 else torch.autocast(device.type, enabled=False):
            loss = (hidden_only_loss if choices.hidden_only else lab_loss)(shown, batch, hidden)
        model.zero_grad(set_to_none=True)
        loss.backward()
        if choices.optimiser:
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
        if choices.optimiser:
            update_ema(average, model, 0, 0.998)
        yield loss.item()


class LabDecoding(LabInpainter):
    """The lab's decoder, which runs in float32 unless `bf16`."""

    def __init__(
        self, tokenizer: nn.Module, transformer: MaskedTransformer, choices: LabChoices, bf16: bool
    ):
        super().__init__(tokenizer, transformer, choices)
        self.bf16 = bf16

    def predict(self, tokens: Tensor, hidden: Tensor, pixel_embedding: None) -> Tensor:
        if self.bf16:
            return super().predict(tokens, hidden, pixel_embedding)
        return self.transformer(tokens)[hidden]


def train_lab_tokenizer(
    model: LabVQGAN, images: np.ndarray, batch_size: int, optimiser: torch.optim.Optimizer
) -> Iterator[float]:
    """Trains a VQGAN by AdamW in float32, without critic and perceptual loss; yields the loss."""
    device = next(model.parameters()).device
    rng = np.random.default_rng(0)
    while True:
        truth = to_float(images[rng.integers(len(images), size=batch_size)], device)
        latents = model.quant_conv(model.encoder(truth))
        codes = model.codebook.lookup(model.codebook.nearest(latents.permute(0, 2, 3, 1)))
        commitment_loss = F.mse_loss(latents, codes.detach())
        codebook_loss = F.mse_loss(codes, latents.detach())
        output = model.decoder(model.post_quant_conv(latents + (codes - latents).detach()))
        loss = reconstruction_loss(output, truth) + 0.25 * commitment_loss + codebook_loss
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        yield loss.item()


def lab_frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Returns pytorch-fid's Fréchet distance of features (N, D), by a matrix square root."""
    return calculate_frechet_distance(
        a.mean(axis=0), np.cov(a, rowvar=False), b.mean(axis=0), np.cov(b, rowvar=False)
    )


def load_lab_image(path: Path, size: int) -> Tensor:
    """Reads a picture as normalised float (3, size, size), as the lab does in every epoch."""
    with Image.open(path) as image:
        pixels = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    tensor = torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float().div(255)
    mean, std = (0.4816, 0.4324, 0.3845), (0.2602, 0.2518, 0.2537)
    return (tensor - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
