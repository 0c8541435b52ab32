"""Trains the tokenizer: reconstruction, perceptual, commitment and adversarial losses.

Esser et al., "Taming Transformers for High-Resolution Image Synthesis", arXiv 2012.09841. After a
share SETTLED of the steps the codes are frozen and the decoder learns alone. It then draws most
images into a hole: it sees the pixels around the hole (asymmetric VQGAN, arXiv 2306.04632), and in
the hole codes that differ a little from the true ones.
"""

import numpy as np
import torch
from torch import Tensor, nn

from maskgit import ranks
from maskgit.data.holes import mixture
from maskgit.device import autocast
from maskgit.pixels import pixels_to_float, to_float
from maskgit.rows import Rows, to_device
from maskgit.tokenizer.discriminator import PatchDiscriminator, adaptive_weight, discriminator_loss
from maskgit.tokenizer.kinds import Tokenizer
from maskgit.tokenizer.settings import TokenizerTraining
from maskgit.tokenizer.vqgan import VQGAN, codebook_usage
from maskgit.training.losses import losses_in_hole
from maskgit.training.optim import adamw, muon_and_adamw, set_learning_rate, warmup_cosine
from maskgit.training.trainer import Metrics, RandomGenerators, ShuffledBatches, Trainer

SETTLED = 0.6  # share of the steps after which the codes are frozen and the decoder learns holes
HOLED = 0.75  # share of the images that the decoder then draws into a hole
MISTAKES = 0.5  # largest distance of the codes in a hole from true latents, which have length one
HOLE_AREA = 0.1, 0.6  # share of the picture; a wide range, since other holes are to be filled


class TokenizerTrainer(Trainer):
    """Trains `model` in place on uint8 images (N, H, W, 3), flipping each at random.

    Every `evaluate_every` steps and at the end the metrics include the validation's (`val_...`)
    and the codebook's usage and perplexity.
    """

    def __init__(
        self,
        model: VQGAN,
        images: np.ndarray,
        validation: np.ndarray,
        how: TokenizerTraining,
        perceptual: nn.Module | None,
        seed: int,
    ):
        self.model, self.validation = model, validation
        self.how, self.perceptual = how, perceptual
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
        self.critic = PatchDiscriminator().to(self.device)
        critic = list(self.critic.parameters())
        self.critic_adamw = adamw(critic, how.learning_rate, weight_decay=1e-2, betas=(0.5, 0.9))
        self.settled = False
        self.network, self.judge = ranks.parallel(model), ranks.parallel(self.critic)
        self.parts = {
            "model": model,
            "critic": self.critic,
            "muon": self.muon,
            "adamw": self.adamw,
            "critic_adamw": self.critic_adamw,
            "batches": self.batches,
            "generators": self.generators,
        }

    def step(self) -> Metrics:
        how, model, critic = self.how, self.model, self.critic
        model.train()
        learning_rate = how.learning_rate * warmup_cosine(self.done, how.steps, how.warmup)
        set_learning_rate([self.muon, self.adamw, self.critic_adamw], learning_rate)
        settled = self.done >= SETTLED * self.steps
        if settled:
            model.settle_codes()
        if settled != self.settled:
            self.settled, self.network = settled, ranks.parallel(model)
        truth, hole = self.draw_batch(HOLED * settled)

        with autocast(self.device):
            output, quantized = self.network(truth, hole, MISTAKES * settled)
            output, losses = losses_in_hole(output, truth, hole, self.perceptual)
            metrics = {name: loss.detach() for name, loss in losses.items()}
            reconstruction = losses["reconstruction_loss"]
            if self.perceptual is not None:
                reconstruction = reconstruction + how.perceptual_weight * losses["perceptual_loss"]
            loss = reconstruction + how.commitment_weight * quantized.loss
            metrics["commitment_loss"] = quantized.loss.detach()
            adversarial_on = how.adversarial_weight > 0 and self.done >= how.discriminator_step
            if adversarial_on:
                fooling = -critic.requires_grad_(False)(output).mean()
                weight = adaptive_weight(reconstruction, fooling, model.last_layer)
                loss = loss + how.adversarial_weight * weight * fooling
                metrics["adversarial_loss"] = fooling.detach()
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        self.muon.step()
        self.adamw.step()

        if adversarial_on:
            critic.requires_grad_(True)
            with autocast(self.device):
                critic_loss = discriminator_loss(self.judge(truth), self.judge(output.detach()))
            self.critic_adamw.zero_grad(set_to_none=True)
            critic_loss.backward()
            self.critic_adamw.step()
            metrics["discriminator_loss"] = critic_loss.detach()
        self.done += 1
        if self.done % how.evaluate_every == 0 or self.done == how.steps:
            metrics |= evaluate_tokenizer(model, self.validation, how.batch_size)
        return metrics

    def draw_batch(self, holed: float) -> tuple[Tensor, Tensor]:
        """Returns images float (B, 3, H, W) in [-1, 1], some mirrored, and holes, bool (B, H, W).

        holed: the share of images with a hole; for the others it is all of the picture.
        """
        rng = self.generators.numpy
        truth = pixels_to_float(self.images[next(self.batches),])
        flip = to_device(rng.random(len(truth)) < 0.5, self.device)
        hole = np.stack([draw_hole(rng, truth.shape[2], holed) for _ in truth])
        truth = torch.where(flip[:, None, None, None], truth.flip(3), truth)
        return truth, to_device(hole, self.device)


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
