"""Trains a network that draws into holes: the losses of the tokenizer, in the transformer's holes.

The feed-forward network and the decoder of mean codes are trained so. They differ in what they see
of a picture with a hole.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from maskgit import ranks
from maskgit.data.drafts import draw_drafts, shown, with_rest_of_hole
from maskgit.data.known_pixels import mask_pixels
from maskgit.data.views import take_views, view_maps
from maskgit.device import autocast
from maskgit.perception import PerceptualLoss
from maskgit.pixels import pixels_to_float, to_float
from maskgit.rows import Rows, to_device
from maskgit.training.discriminator import Adversary
from maskgit.training.losses import DrawingLoss, hole_and_rim
from maskgit.training.optim import muon_and_adamw, set_learning_rate, update_ema, warmup_cosine
from maskgit.training.settings import DrawingTraining
from maskgit.training.trainer import Best, Metrics, RandomGenerators, ShuffledBatches, Trainer

NetworkInputs = Callable[[Tensor, Tensor], Sequence[Tensor]]
"""What a network sees: its inputs, from the known pixels, float (B, 4, H, W), and the holes, bool
(B, H, W)."""


class DrawingTrainer(Trainer):
    """Trains `model` in place on uint8 images (N, H, W, 3), each with a random one of the holes.

    The model draws a picture, (B, 3, H, W), not clamped, from what `inputs` returns. matrices:
    its hidden weights, which Muon trains. holes: bool (M, H, W). views: number of views of each
    image (`view_maps`), of which a random one is taken. validation: images and their holes, in the
    same layout. perceptual: needed where its weight or the adversarial one is not 0. drafts: the
    share of images that have a draft in the hole (`maskgit.data.drafts`). Every `evaluate_every`
    steps and at the end the metrics include those of `evaluate_drawing` on the averaged weights.
    `best` keeps the averaged weights of the best evaluation; where a discriminator joins, of the
    best one after that.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: NetworkInputs,
        matrices: Sequence[nn.Parameter],
        images: np.ndarray,
        holes: np.ndarray,
        views: int,
        validation: tuple[np.ndarray, np.ndarray],
        how: DrawingTraining,
        perceptual: PerceptualLoss | None,
        seed: int,
        drafts: float = 0.0,
    ):
        self.drafts = drafts
        self.model, self.inputs, self.validation, self.how = model, inputs, validation, how
        self.loss = DrawingLoss(perceptual, how.perceptual_weight, how.adversarial_weight)
        self.steps = how.steps
        self.device = device = next(model.parameters()).device
        self.images, self.holes = Rows(images, device), to_device(holes, device)
        self.views = to_device(view_maps(views, images.shape[1]), device)
        self.generators = RandomGenerators(seed, device)
        self.batches = ShuffledBatches(len(images), how.batch_size, self.generators.numpy)
        self.muon, self.adamw = muon_and_adamw(
            model, matrices, how.learning_rate, weight_decay=1e-4, betas=(0.9, 0.99)
        )
        self.optimisers = [self.muon, self.adamw]
        ranks.share_weights(model)
        self.average = deepcopy(model).eval().requires_grad_(False)
        self.best = Best(self.average)
        self.parts = {
            "model": model,
            "average": self.average,
            "best": self.best,
            "muon": self.muon,
            "adamw": self.adamw,
            "batches": self.batches,
            "generators": self.generators,
        }
        self.adversary = None
        if how.adversarial_weight and how.discriminator_step < how.steps:
            self.adversary = Adversary(perceptual, how.learning_rate)
            self.optimisers.append(self.adversary.adamw)
            self.parts |= self.adversary.parts

    def step(self) -> Metrics:
        how, model = self.how, self.model
        model.train()
        learning_rate = how.learning_rate * warmup_cosine(self.done, how.steps, how.warmup)
        set_learning_rate(self.optimisers, learning_rate)
        truth, hole, known = self.draw_batch()
        joined = self.done >= how.discriminator_step
        adversary = self.adversary if joined else None

        with autocast(self.device):
            output = model(*self.inputs(known, hole))
            loss, metrics, seen = self.loss(output, truth, hole, adversary=adversary)
        model.zero_grad(set_to_none=True)
        loss.backward()
        ranks.average_gradients(model)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        self.muon.step()
        self.adamw.step()
        update_ema(self.average, model, self.done, how.ema_decay)
        if adversary:
            metrics["discriminator_loss"] = adversary.learn([seen])

        self.done += 1
        if self.done % how.evaluate_every == 0 or self.done == how.steps:
            own = max(1, how.batch_size // ranks.world_size())  # what a step of this rank holds
            task = *self.validation, self.loss, own
            metrics |= evaluate_drawing(self.average, self.inputs, *task)
            if joined or not self.adversary:
                self.best.update(self.average, metrics["val_loss"])
        return metrics

    def draw_batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Samples images float (B, 3, H, W) in [-1, 1] and their holes, bool (B, H, W).

        The third is what is seen of them, see `shown`.
        """
        rng, rows, device = self.generators.numpy, next(self.batches), self.device
        size = len(rows)
        views = self.views[to_device(rng.integers(len(self.views), size=size), device)]
        hole = self.holes[to_device(rng.integers(len(self.holes), size=size), device)]
        truth = pixels_to_float(take_views(self.images[rows,], views))
        drafts = draw_drafts(rng, size, self.drafts, device)
        hole = with_rest_of_hole(hole, drafts)
        return truth, hole, shown(truth, hole, drafts)


@torch.inference_mode()
def evaluate_drawing(
    model: nn.Module,
    inputs: NetworkInputs,
    images: np.ndarray,
    holes: np.ndarray,
    loss: DrawingLoss,
    batch_size: int,
) -> dict[str, float]:
    """Returns the loss of all images, and the mean over images of the PSNR in the hole, in dB.

    images: uint8 (N, H, W, 3); holes: bool (N, H, W), none empty. No result depends on `batch_size`
    but for rounding.
    """
    device = next(model.parameters()).device
    area = hole_and_rim(to_device(holes, device)).mean()
    total, psnr = 0.0, []
    for start in range(0, len(images), batch_size):
        truth = to_float(images[start : start + batch_size], device)
        hole = to_device(holes[start : start + batch_size], device)
        output = model(*inputs(mask_pixels(truth, hole), hole)).clamp(-1, 1)
        total += len(truth) * loss(output, truth, hole, area)[0].item()
        squares = (output - truth).square().mean(dim=1).masked_fill(~hole, 0) / 4
        error = squares.sum(dim=(1, 2)) / hole.sum(dim=(1, 2))
        psnr.append(-10 * error.clamp_min(1e-10).log10())
    return {"val_loss": total / len(images), "val_psnr": torch.cat(psnr).mean().item()}
