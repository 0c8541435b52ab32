"""Trains the transformer by masked visual token modelling (MaskGIT, arXiv 2202.04200, 3.1)."""

import math
from copy import deepcopy

import numpy as np
import torch
import torch.nn.functional as F

from maskgit import ranks
from maskgit.data.views import take_views, view_maps
from maskgit.device import autocast, compiled
from maskgit.rows import Rows, to_device
from maskgit.schedules import Gamma
from maskgit.training.optim import muon_and_adamw, set_learning_rate, update_ema, warmup_cosine
from maskgit.training.trainer import Best, Metrics, RandomGenerators, ShuffledBatches, Trainer
from maskgit.transformer.kinds import Transformer
from maskgit.transformer.masking import PARTLY, Example, Holes, hide, mask_ratios
from maskgit.transformer.model import MaskedTransformer, hidden_token_losses, masked_token_loss
from maskgit.transformer.settings import TransformerTraining

GUIDE = 0.2  # share of the steps after which the averaged weights become the guide


class TransformerTrainer(Trainer):
    """Trains `model` in place on images and their stored tokens.

    images: uint8 (n, H, W, 3); tokens: uint16 (views, n, N), of every view of the images
    (`view_maps`). validation: fixed batches. gamma: the mask schedule of training. Every
    `evaluate_every` steps and at the end the metrics include those of `evaluate_transformer` on the
    averaged weights. `best` keeps the averaged weights of the best evaluation, `guide` early ones
    (see `guidance`).
    """

    def __init__(
        self,
        model: MaskedTransformer,
        images: np.ndarray,
        tokens: np.ndarray,
        holes: Holes,
        validation: list[Example],
        how: TransformerTraining,
        gamma: Gamma,
        seed: int,
    ):
        self.model, self.validation, self.how, self.gamma = model, validation, how, gamma
        self.steps = how.steps
        self.device = device = next(model.parameters()).device
        self.images, self.tokens = Rows(images, device), Rows(tokens, device)
        self.views = to_device(view_maps(len(tokens), images.shape[1]), device)
        self.holes = holes.to(device)
        self.generators = RandomGenerators(seed, device)
        self.batches = ShuffledBatches(tokens.shape[1], how.batch_size, self.generators.numpy)
        matrices = [p for p in model.blocks.parameters() if p.ndim == 2]
        self.muon, self.adamw = muon_and_adamw(
            model, matrices, how.learning_rate, how.weight_decay, betas=(0.9, 0.98)
        )
        self.loss = compiled(ranks.parallel(ranks.Loss(model, masked_token_loss)), device)
        self.average = deepcopy(model).eval().requires_grad_(False)
        self.best = Best(self.average)
        self.guide = deepcopy(self.average)
        self.parts = {
            "model": model,
            "average": self.average,
            "best": self.best,
            "guide": self.guide,
            "muon": self.muon,
            "adamw": self.adamw,
            "batches": self.batches,
            "generators": self.generators,
        }

    def step(self) -> Metrics:
        how, model = self.how, self.model
        model.train()
        learning_rate = how.learning_rate * warmup_cosine(self.done, how.steps, how.warmup)
        set_learning_rate([self.muon, self.adamw], learning_rate)
        batch = self.draw_batch()

        with autocast(self.device):
            loss = self.loss(batch, how.label_smoothing)
        model.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), how.gradient_clip)
        self.muon.step()
        self.adamw.step()
        update_ema(self.average, model, self.done, how.ema_decay)

        metrics = {
            "train_loss": loss.detach(),
            "gradient_norm": norm,
            "learning_rate": learning_rate,
        }
        self.done += 1
        if self.done == math.ceil(GUIDE * how.steps):
            self.guide.load_state_dict(self.average.state_dict())
        if self.done % how.evaluate_every == 0 or self.done == how.steps:
            metrics |= evaluate_transformer(self.average, self.validation)
            self.best.update(self.average, metrics["val_loss"])
        return metrics

    def draw_batch(self) -> Example:
        """Samples a training batch: random views of the next images, see `hide`."""
        rng, rows, device = self.generators.numpy, next(self.batches), self.device
        size = len(rows)
        view = rng.integers(len(self.views), size=size)
        tokens, images = self.tokens[view, rows], self.images[rows,]
        return hide(
            take_views(images, self.views[to_device(view, device)]),
            tokens,
            self.holes.pick(to_device(rng.integers(len(self.holes.pixels), size=size), device)),
            to_device(rng.random(size) < self.how.hole_share, device),
            to_device(rng.random(size) < PARTLY, device),
            mask_ratios(size, self.gamma, rng).to(device, non_blocking=True),
            self.model.sees_pixels,
            self.generators.torch,
        )


@torch.inference_mode()
def evaluate_transformer(model: Transformer, validation: list[Example]) -> dict[str, float]:
    """Returns mean cross-entropies in nats of hidden tokens over the validation batches.

    `val_loss`: of all of them. `val_loss_inside`: of those in holes whose cell has no known pixel;
    `val_loss_rim`: of the others in holes; each where there are any.
    """
    device = next(model.parameters()).device
    losses, in_hole, inside = [], [], []
    for example in validation:
        losses.append(hidden_token_losses(model, example.to(device)).cpu())
        cell = example.known.shape[2] // model.grid
        blank = F.max_pool2d(example.known[:, 3:], cell).flatten(1) == 0
        inside.append(blank[example.hidden])
        in_hole.append(example.from_hole[:, None].expand_as(blank)[example.hidden])
    losses, in_hole, inside = map(torch.cat, (losses, in_hole, inside))
    parts = {"val_loss_inside": in_hole & inside, "val_loss_rim": in_hole & ~inside}
    means = {name: losses[part].mean().item() for name, part in parts.items() if part.any()}
    return {"val_loss": losses.mean().item()} | means
