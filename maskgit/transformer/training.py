"""Trains the transformer by masked visual token modelling (MaskGIT, arXiv 2202.04200, 3.1)."""

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from maskgit.device import autocast
from maskgit.schedules import Gamma
from maskgit.training.optim import muon_and_adamw, set_learning_rate, update_ema, warmup_cosine
from maskgit.training.trainer import Best, Chance, ShuffledBatches, Trainer
from maskgit.transformer.kinds import Transformer
from maskgit.transformer.masking import random_hidden
from maskgit.transformer.model import MaskedTransformer, masked_token_loss


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


class TransformerTrainer(Trainer):
    """Trains `model` in place on stored tokens.

    tokens: uint16 (2, n, N), the images and their mirrors. validation: fixed batches of tokens
    and hidden places, so that evaluations compare. gamma: the mask schedule of training. holes:
    bool (M, N), hidden sets that holes make, mixed with the random ones. Every `evaluate_every`
    steps and at the end the metrics include `val_loss`, that of the averaged weights; `best` keeps
    the best of them.
    """

    def __init__(
        self,
        model: MaskedTransformer,
        tokens: np.ndarray,
        validation: list[tuple[Tensor, Tensor]],
        how: TransformerTraining,
        gamma: Gamma,
        holes: np.ndarray,
    ):
        self.model, self.tokens, self.validation = model, tokens, validation
        self.how, self.gamma, self.holes = how, gamma, holes
        self.steps = how.steps
        self.device = next(model.parameters()).device
        self.chance = Chance(how.seed)
        self.batches = ShuffledBatches(tokens.shape[1], how.batch_size, self.chance.numpy)
        matrices = [p for p in model.blocks.parameters() if p.ndim == 2]
        self.muon, self.adamw = muon_and_adamw(
            model, matrices, how.learning_rate, how.weight_decay, betas=(0.9, 0.98)
        )
        self.average = deepcopy(model).eval().requires_grad_(False)
        self.best = Best(self.average)
        self.parts = {
            "model": model,
            "average": self.average,
            "best": self.best,
            "muon": self.muon,
            "adamw": self.adamw,
            "batches": self.batches,
            "chance": self.chance,
        }

    def step(self) -> dict[str, float]:
        how, model = self.how, self.model
        model.train()
        learning_rate = how.learning_rate * warmup_cosine(self.done, how.steps, how.warmup)
        set_learning_rate([self.muon, self.adamw], learning_rate)
        batch, hidden = self.draw_batch()

        with autocast(self.device):
            loss = masked_token_loss(model, batch, hidden, how.label_smoothing)
        model.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), how.gradient_clip)
        self.muon.step()
        self.adamw.step()
        update_ema(self.average, model, self.done, how.ema_decay)

        metrics = {
            "train_loss": loss.item(),
            "gradient_norm": norm.item(),
            "learning_rate": learning_rate,
        }
        if not np.isfinite(metrics["train_loss"]):
            raise FloatingPointError(f"the transformer's loss is not finite at step {self.done}")
        self.done += 1
        if self.done % how.evaluate_every == 0 or self.done == how.steps:
            metrics["val_loss"] = evaluate_transformer(self.average, self.validation)
            self.best.offer(self.average, metrics["val_loss"])
        return metrics

    def draw_batch(self) -> tuple[Tensor, Tensor]:
        """Tokens int64 (B, N), some mirrored, and what to hide of them, bool (B, N)."""
        size, rng = self.how.batch_size, self.chance.numpy
        mirrored = rng.integers(2, size=size)
        batch = torch.from_numpy(self.tokens[mirrored, next(self.batches)].astype(np.int64))
        hidden = random_hidden(*batch.shape, self.gamma, self.chance.torch)
        from_hole = torch.from_numpy(rng.random(size) < self.how.hole_share)
        drawn = torch.from_numpy(self.holes[rng.integers(len(self.holes), size=size)])
        hidden = torch.where(from_hole[:, None], drawn, hidden)
        return batch.to(self.device), hidden.to(self.device)


@torch.inference_mode()
def evaluate_transformer(model: Transformer, validation: list[tuple[Tensor, Tensor]]) -> float:
    """Mean cross-entropy in nats over all hidden tokens of the fixed batches."""
    device = next(model.parameters()).device
    total, count = 0.0, 0
    for tokens, hidden in validation:
        loss = masked_token_loss(model, tokens.to(device), hidden.to(device))
        total += loss.item() * int(hidden.sum())
        count += int(hidden.sum())
    return total / count
