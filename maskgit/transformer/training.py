"""Trains the transformer by masked visual token modelling (MaskGIT, arXiv 2202.04200, 3.1)."""

import math
from copy import deepcopy
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from maskgit import ranks
from maskgit.data.drafts import draw_drafts
from maskgit.data.views import take_views, view_maps
from maskgit.device import autocast, compiled
from maskgit.rows import Rows, to_device
from maskgit.schedules import Gamma
from maskgit.training.graphs import Replayed
from maskgit.training.optim import (
    make_capturable,
    muon_and_adamw,
    set_learning_rate,
    update_ema,
    warmup_cosine,
)
from maskgit.training.trainer import Best, Metrics, RandomGenerators, ShuffledBatches, Trainer
from maskgit.transformer.kinds import Transformer
from maskgit.transformer.masking import PARTLY, Example, Holes, hide, mask_ratios
from maskgit.transformer.model import (
    MaskedTransformer,
    hidden_token_predictions,
    masked_token_loss,
)
from maskgit.transformer.settings import TransformerTraining

GUIDE = 0.2  # share of the steps after which the averaged weights become the guide


class TransformerTrainer(Trainer):
    """Trains `model` in place on images and their stored tokens.

    images: uint8 (n, H, W, 3); tokens: uint16 (views, n, N), of every view of the images
    (`view_maps`). validation: fixed batches. gamma: the mask schedule of training. Every
    `evaluate_every` steps and at the end the metrics include those of `evaluate_transformer` on the
    averaged weights. `best` keeps the averaged weights of the best evaluation, `guide` early ones
    (see `guidance`). graphed: whether a step runs as one CUDA graph (`maskgit.training.graphs`).
    drafts: the share of images with a draft of what is hidden (`maskgit.data.drafts`).
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
        graphed: bool = False,
        drafts: float = 0.0,
    ):
        self.model, self.validation, self.how, self.gamma = model, validation, how, gamma
        self.drafts = drafts
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
        self.loss = compiled(partial(masked_token_loss, model), device)
        ranks.share_weights(model)
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
        self.graphed, self.replayed = graphed, None
        self.begin()

    def begin(self) -> None:
        """Makes the optimisers ready for a graph, if there is one; a captured one is dropped."""
        if self.graphed:
            make_capturable([self.muon, self.adamw], self.device)
            self.replayed = Replayed(lambda *batch: self.learn(Example(*batch)))

    def load_state_dict(self, state: dict) -> None:
        super().load_state_dict(state)
        self.begin()

    @property
    def guide_step(self) -> int:
        """The step of the weights of the guide."""
        return math.ceil(GUIDE * self.how.steps)

    def step(self) -> Metrics:
        how, model = self.how, self.model
        model.train()
        learning_rate = how.learning_rate * warmup_cosine(self.done, how.steps, how.warmup)
        set_learning_rate([self.muon, self.adamw], learning_rate)
        batch = self.draw_batch()
        learned = self.replayed(*batch) if self.replayed else self.learn(batch)
        update_ema(self.average, model, self.done, how.ema_decay)
        metrics = learned | {"learning_rate": learning_rate}
        self.done += 1
        if self.done == self.guide_step:
            self.guide.load_state_dict(self.average.state_dict())
        if self.done % how.evaluate_every == 0 or self.done == how.steps:
            metrics |= evaluate_transformer(self.average, self.validation)
            self.best.update(self.average, metrics["val_loss"])
        return metrics

    def learn(self, batch: Example) -> Metrics:
        """Changes the network by one batch and returns its loss and the gradient's length."""
        how, model = self.how, self.model
        model.zero_grad(set_to_none=True)
        loss = self.accumulate_gradients(batch)
        ranks.average_gradients(model)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), how.gradient_clip)
        self.muon.step()
        self.adamw.step()
        return {"train_loss": loss, "gradient_norm": norm}

    def accumulate_gradients(self, batch: Example) -> Tensor:
        """Adds the gradients of a batch's loss to those of the weights, and returns the loss.

        The batch of this rank passes in `how.accumulate` parts. Its loss is a mean over its hidden
        tokens, so that each part counts by its share of these. All ranks count alike.
        """
        total, count = 0.0, batch.hidden.sum()
        for part in batch.chunk(self.how.accumulate):
            share = part.hidden.sum() / count
            with autocast(self.device):
                loss = self.loss(part, self.how.label_smoothing) * share
            loss.backward()
            total = total + loss.detach()
        return total

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
            to_device(mask_ratios(size, self.gamma, rng).numpy(), device),
            self.model.sees_pixels,
            self.generators.torch,
            draw_drafts(rng, size, self.drafts, device),
        )


@torch.inference_mode()
def evaluate_transformer(model: Transformer, validation: list[Example]) -> dict[str, float]:
    """Returns how well hidden tokens are predicted, means over the validation batches.

    `val_loss`: their cross-entropy in nats. `val_loss_inside`: of those in holes whose cell has no
    known pixel; `val_loss_rim`: of the others in holes; each where there are any. `val_top1` and
    `val_top5`: the share of hidden tokens that are the likeliest, or among the five likeliest.
    """
    device = next(model.parameters()).device
    losses, ranks_of_truth, in_hole, inside = [], [], [], []
    for example in validation:
        logits, truth = hidden_token_predictions(model, example.to(device))
        losses.append(F.cross_entropy(logits, truth, reduction="none").cpu())
        own = logits.gather(1, truth[:, None])
        ranks_of_truth.append((logits >= own).sum(dim=1).cpu())  # 1 for the likeliest
        cell = example.known.shape[2] // model.grid
        blank = F.max_pool2d(example.known[:, 3:], cell).flatten(1) == 0
        inside.append(blank[example.hidden])
        in_hole.append(example.from_hole[:, None].expand_as(blank)[example.hidden])
    losses, ranks_of_truth, in_hole, inside = map(
        torch.cat, (losses, ranks_of_truth, in_hole, inside)
    )
    parts = {"val_loss_inside": in_hole & inside, "val_loss_rim": in_hole & ~inside}
    means = {name: losses[part].mean().item() for name, part in parts.items() if part.any()}
    shares = {f"val_top{k}": (ranks_of_truth <= k).float().mean().item() for k in (1, 5)}
    return {"val_loss": losses.mean().item()} | means | shares
