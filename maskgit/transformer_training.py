"""Trains the transformer by masked visual token modelling (MaskGIT, arXiv 2202.04200, 3.1)."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from maskgit.masking import random_hidden
from maskgit.optim import (
    autocast,
    muon_and_adamw,
    set_learning_rate,
    shuffled_batches,
    update_ema,
    warmup_cosine,
)
from maskgit.transformer import MaskedTransformer, masked_token_loss


@dataclass(frozen=True)
class TransformerTraining:
    """How to train. `hole_share` of the images of a batch hide a hole-shaped set of tokens."""

    steps: int
    batch_size: int
    learning_rate: float
    warmup: int
    weight_decay: float
    label_smoothing: float
    gradient_clip: float
    ema_decay: float
    hole_share: float
    evaluate_every: int
    seed: int


def train_transformer(
    model: MaskedTransformer,
    tokens: np.ndarray,
    validation: list[tuple[Tensor, Tensor]],
    how: TransformerTraining,
    gamma: Callable[[float], float],
    holes: np.ndarray,
) -> Iterator[tuple[int, dict[str, float], MaskedTransformer]]:
    """Trains `model` in place on stored tokens.

    tokens: uint16 (2, n, N), the images and their mirrors. validation: fixed batches of tokens
    and hidden places, so that evaluations compare. gamma: the mask schedule of training. holes:
    bool (M, N), hidden sets that holes make, mixed with the random ones. Yields after every step
    (step, metrics, averaged model); every `evaluate_every` steps and at the end the metrics
    include `val_loss`, that of the averaged weights.
    """
    device = next(model.parameters()).device
    rng = np.random.default_rng(how.seed)
    torch.manual_seed(how.seed)  # dropout
    generator = torch.Generator().manual_seed(how.seed)
    matrices = [p for p in model.blocks.parameters() if p.ndim == 2]
    optimisers = muon_and_adamw(
        model, matrices, how.learning_rate, how.weight_decay, betas=(0.9, 0.98)
    )
    average = deepcopy(model).eval().requires_grad_(False)
    batches = shuffled_batches(tokens.shape[1], how.batch_size, rng)

    for step in range(how.steps):
        model.train()
        learning_rate = how.learning_rate * warmup_cosine(step, how.steps, how.warmup)
        set_learning_rate(optimisers, learning_rate)
        mirrored = rng.integers(2, size=how.batch_size)
        batch = torch.from_numpy(tokens[mirrored, next(batches)].astype(np.int64)).to(device)
        hidden = random_hidden(*batch.shape, gamma, generator)
        from_hole = torch.from_numpy(rng.random(how.batch_size) < how.hole_share)
        drawn = torch.from_numpy(holes[rng.integers(len(holes), size=how.batch_size)])
        hidden = torch.where(from_hole[:, None], drawn, hidden).to(device)

        with autocast(device):
            loss = masked_token_loss(model, batch, hidden, how.label_smoothing)
        model.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), how.gradient_clip)
        for optimiser in optimisers:
            optimiser.step()
        update_ema(average, model, step, how.ema_decay)

        metrics = {
            "train_loss": loss.item(),
            "gradient_norm": norm.item(),
            "learning_rate": learning_rate,
        }
        if not np.isfinite(metrics["train_loss"]):
            raise FloatingPointError(f"the transformer's loss is not finite at step {step}")
        done = step + 1
        if done % how.evaluate_every == 0 or done == how.steps:
            metrics["val_loss"] = evaluate_transformer(average, validation)
        yield done, metrics, average


@torch.inference_mode()
def evaluate_transformer(
    model: MaskedTransformer, validation: list[tuple[Tensor, Tensor]]
) -> float:
    """Mean cross-entropy in nats over all hidden tokens of the fixed batches."""
    device = next(model.parameters()).device
    total, count = 0.0, 0
    for tokens, hidden in validation:
        loss = masked_token_loss(model, tokens.to(device), hidden.to(device))
        total += loss.item() * int(hidden.sum())
        count += int(hidden.sum())
    return total / count
