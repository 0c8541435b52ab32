"""Trains the tokenizer: reconstruction, perceptual, commitment and adversarial losses.

Esser et al., "Taming Transformers for High-Resolution Image Synthesis", arXiv 2012.09841. After a
share SETTLED of the steps the codes are frozen and the decoder learns alone. It then draws most
images into a hole: it sees the pixels around the hole (asymmetric VQGAN, arXiv 2306.04632), and in
the hole codes that differ a little from the true ones.
"""

from collections import defaultdict
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from maskgit import ranks
from maskgit.data.drafts import draw_drafts, shown
from maskgit.data.holes import mixture
from maskgit.device import autocast
from maskgit.perception import PerceptualLoss
from maskgit.pixels import pixels_to_float, to_float
from maskgit.rows import Rows, to_device
from maskgit.tokenizer.kinds import Tokenizer
from maskgit.tokenizer.settings import TokenizerTraining
from maskgit.tokenizer.vqgan import VQGAN, codebook_usage
from maskgit.training.discriminator import Adversary
from maskgit.training.graphs import Replayed
from maskgit.training.losses import DrawingLoss, hole_and_rim
from maskgit.training.optim import (
    make_capturable,
    muon_and_adamw,
    set_learning_rate,
    warmup_cosine,
)
from maskgit.training.trainer import Metrics, RandomGenerators, ShuffledBatches, Trainer

SETTLED = 0.6  # share of the steps after which the codes are frozen and the decoder learns holes
HOLED = 0.75  # share of the images that the decoder then draws into a hole
MISTAKES = 0.5  # largest distance of the codes in a hole from true latents, which have length one
HOLE_AREA = 0.1, 0.6  # share of the picture; a wide range, since other holes are to be filled


class TokenizerTrainer(Trainer):
    """Trains `model` in place on uint8 images (N, H, W, 3), flipping each at random.

    graphed: whether a step runs as one CUDA graph (`maskgit.training.graphs`). drafts: once
    holes are drawn, three quarters of this share of the images have a draft
    (`maskgit.data.drafts`). Every `evaluate_every` steps and at the end the metrics include the
    validation's (`val_...`) and the codebook's usage and perplexity.
    """

    def __init__(
        self,
        model: VQGAN,
        images: np.ndarray,
        validation: np.ndarray,
        how: TokenizerTraining,
        perceptual: PerceptualLoss | None,
        seed: int,
        graphed: bool = False,
        drafts: float = 0.0,
    ):
        self.model, self.validation = model, validation
        self.how, self.drafts = how, drafts
        self.loss = DrawingLoss(perceptual, how.perceptual_weight, how.adversarial_weight)
        self.steps = how.steps
        self.device = next(model.parameters()).device
        self.images = Rows(images, self.device)
        self.generators = RandomGenerators(seed, self.device)
        self.batches = ShuffledBatches(len(images), how.batch_size, self.generators.numpy)
        self.muon, self.adamw = muon_and_adamw(
            model,
            model.hidden_convolutions(),
            how.learning_rate,
            weight_decay=1e-4,
            betas=(0.9, 0.99),
        )
        self.optimisers = [self.muon, self.adamw]
        ranks.share_weights(model)
        self.graphed, self.replayed = graphed, {}
        self.parts = {
            "model": model,
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
        self.begin()

    def begin(self) -> None:
        """Makes the optimisers ready for graphs, if there are any; captured ones are dropped."""
        self.replayed.clear()
        if self.graphed:
            make_capturable(self.optimisers, self.device)

    def load_state_dict(self, state: dict) -> None:
        super().load_state_dict(state)
        self.begin()

    def step(self) -> Metrics:
        how, model = self.how, self.model
        model.train()
        learning_rate = how.learning_rate * warmup_cosine(self.done, how.steps, how.warmup)
        set_learning_rate(self.optimisers, learning_rate)
        settled = self.done >= SETTLED * self.steps
        if settled:
            model.settle_codes()
        adversarial = self.adversary is not None and self.done >= how.discriminator_step
        metrics = self.learner(settled, adversarial)(*self.draw_batch(HOLED * settled))
        self.done += 1
        if self.done % how.evaluate_every == 0 or self.done == how.steps:
            parts = how.accumulate * ranks.world_size()
            own = max(1, how.batch_size // parts)  # what is decoded at once in a step
            metrics |= evaluate_tokenizer(model, self.validation, own)
        return metrics

    def learner(self, settled: bool, adversarial: bool) -> Callable[..., Metrics]:
        """Returns `learn` for this part of the training, as a graph if there are any."""
        learn = partial(self.learn, settled=settled, adversarial=adversarial)
        if not self.graphed:
            return learn
        if (settled, adversarial) not in self.replayed:
            self.replayed = {(settled, adversarial): Replayed(learn)}  # the last part's is done
        return self.replayed[settled, adversarial]

    def learn(
        self, truth: Tensor, hole: Tensor, known: Tensor, settled: bool, adversarial: bool
    ) -> Metrics:
        """Changes the networks by one batch and returns its losses.

        The decoder, which takes nearly all of the memory, gets the batch in `how.accumulate` parts.
        Encoder and quantizer get it whole, so that codes and random numbers do not depend on the
        parts. Each part counts by its share of the images.
        """
        how, model = self.how, self.model
        adversary = self.adversary if adversarial else None
        model.zero_grad(set_to_none=True)
        with autocast(self.device):
            codes, quantized = model.quantize(truth, hole, MISTAKES * settled)
            commitment = how.commitment_weight * quantized.loss
        leaf = codes.detach().requires_grad_(codes.requires_grad)
        area = hole_and_rim(hole).mean()
        seen, metrics = [], defaultdict(float)
        whole = leaf, known, truth, hole
        for part in zip(*[t.chunk(how.accumulate) for t in whole], strict=True):
            share = len(part[0]) / len(truth)
            with autocast(self.device):
                output = model.decoder(*part[:2])
                loss, losses, judged = self.loss(output, *part[2:], area, adversary)
            (loss * share).backward()
            seen.append(judged)
            for name, value in losses.items():
                metrics[name] += share * value
        if codes.requires_grad:
            ((codes * leaf.grad).sum() + commitment).backward()  # leaf's gradient is that of codes
        metrics["commitment_loss"] = quantized.loss.detach()
        ranks.average_gradients(model)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        self.muon.step()
        self.adamw.step()
        if adversary:
            metrics["discriminator_loss"] = adversary.learn(seen)
        return dict(metrics)

    def draw_batch(self, holed: float) -> tuple[Tensor, Tensor, Tensor]:
        """Returns images float (B, 3, H, W) in [-1, 1], some mirrored, and holes, bool (B, H, W).

        The third is what the decoder sees of them, see `shown`. holed: the share of images with a
        hole; for the others it is all of the picture.
        """
        rng = self.generators.numpy
        truth = pixels_to_float(self.images[next(self.batches),])
        flip = to_device(rng.random(len(truth)) < 0.5, self.device)
        hole = np.stack([draw_hole(rng, truth.shape[2], holed) for _ in truth])
        truth = torch.where(flip[:, None, None, None], truth.flip(3), truth)
        hole = to_device(hole, self.device)
        drafts = draw_drafts(rng, len(truth), self.drafts * holed, self.device)
        return truth, hole, shown(truth, hole, drafts)


def draw_hole(rng: np.random.Generator, size: int, share: float) -> np.ndarray:
    """Draws a hole, bool (size, size): with probability `share` a part of it, else all of it."""
    if rng.random() < share:
        return mixture(rng, size, rng.uniform(*HOLE_AREA))
    return np.ones((size, size), dtype=bool)


@torch.inference_mode()
def evaluate_tokenizer(model: Tokenizer, images: np.ndarray, batch_size: int) -> dict[str, float]:
    """Returns mean reconstruction PSNR in dB and codebook health on images uint8 (N, H, W, 3)."""
    model.eval()
    device = next(model.parameters()).device
    psnr, tokens = [], []
    for start in range(0, len(images), batch_size):
        truth = to_float(images[start : start + batch_size], device)
        tokens.append(model.encode(truth))
        error = (model.decode(tokens[-1]) - truth).square().mean(dim=(1, 2, 3)) / 4
        psnr.append(-10 * error.clamp_min(1e-10).log10())
    counts = torch.bincount(torch.cat(tokens).flatten(), minlength=model.codebook.codebook_size)
    usage, perplexity = codebook_usage(counts)
    return {
        "val_psnr": torch.cat(psnr).mean().item(),
        "codebook_usage": usage,
        "codebook_perplexity": perplexity,
    }
