"""Trains the tokenizer: reconstruction, perceptual, commitment and adversarial losses.

Esser et al., "Taming Transformers for High-Resolution Image Synthesis", arXiv 2012.09841.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgit.discriminator import PatchDiscriminator, adaptive_weight, discriminator_loss
from maskgit.optim import (
    autocast,
    muon_and_adamw,
    set_learning_rate,
    shuffled_batches,
    to_float,
    warmup_cosine,
)
from maskgit.vqgan import VQGAN, codebook_usage


@dataclass(frozen=True)
class TokenizerTraining:
    """How to train; the weights multiply their losses, 0 switches one off."""

    steps: int
    batch_size: int
    learning_rate: float
    warmup: int
    commitment_weight: float
    perceptual_weight: float
    adversarial_weight: float
    discriminator_start: int  # step at which the discriminator joins
    evaluate_every: int
    seed: int


def reconstruction_loss(output: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute error plus mean squared error: the first keeps edges, the second colours."""
    return F.l1_loss(output, truth) + F.mse_loss(output, truth)


def train_tokenizer(
    model: VQGAN,
    images: np.ndarray,
    validation: np.ndarray,
    how: TokenizerTraining,
    perceptual: nn.Module | None,
) -> Iterator[tuple[int, dict[str, float]]]:
    """Trains `model` in place on uint8 images (N, H, W, 3), flipping each at random.

    Yields (step, metrics) after every step; every `evaluate_every` steps and at the end the
    metrics include the validation's (`val_...`) and the codebook's usage and perplexity.
    """
    device = next(model.parameters()).device
    rng = np.random.default_rng(how.seed)
    torch.manual_seed(how.seed)
    optimisers = muon_and_adamw(
        model, model.hidden_convolutions(), how.learning_rate, weight_decay=1e-4, betas=(0.9, 0.99)
    )
    critic = PatchDiscriminator().to(device)
    critic_optimiser = torch.optim.AdamW(critic.parameters(), how.learning_rate, betas=(0.5, 0.9))
    batches = shuffled_batches(len(images), how.batch_size, rng)

    for step in range(how.steps):
        model.train()
        learning_rate = how.learning_rate * warmup_cosine(step, how.steps, how.warmup)
        set_learning_rate([*optimisers, critic_optimiser], learning_rate)
        truth = to_float(images[next(batches)], device)
        flip = torch.from_numpy(rng.random(len(truth)) < 0.5).to(device)
        truth = torch.where(flip[:, None, None, None], truth.flip(3), truth)

        with autocast(device):
            output, quantized = model(truth)
            reconstruction = reconstruction_loss(output, truth)
            metrics = {"reconstruction_loss": reconstruction.item()}
            if perceptual is not None:
                distance = perceptual(output, truth)
                reconstruction = reconstruction + how.perceptual_weight * distance
                metrics["perceptual_loss"] = distance.item()
            loss = reconstruction + how.commitment_weight * quantized.commitment_loss
            metrics["commitment_loss"] = quantized.commitment_loss.item()
            adversarial_on = how.adversarial_weight > 0 and step >= how.discriminator_start
            if adversarial_on:
                fooling = -critic(output).mean()
                weight = adaptive_weight(reconstruction, fooling, model.last_layer)
                loss = loss + how.adversarial_weight * weight * fooling
                metrics["adversarial_loss"] = fooling.item()
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()

        if adversarial_on:
            with autocast(device):
                critic_loss = discriminator_loss(critic(truth), critic(output.detach()))
            critic_optimiser.zero_grad(set_to_none=True)
            critic_loss.backward()
            critic_optimiser.step()
            metrics["discriminator_loss"] = critic_loss.item()
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the tokenizer's loss is {loss.item()} at step {step}")
        done = step + 1
        if done % how.evaluate_every == 0 or done == how.steps:
            metrics |= evaluate_tokenizer(model, validation, how.batch_size)
        yield done, metrics


@torch.inference_mode()
def evaluate_tokenizer(model: VQGAN, images: np.ndarray, batch_size: int) -> dict[str, float]:
    """Reconstruction PSNR in dB (mean over images) and codebook health on uint8 (N, H, W, 3)."""
    model.eval()
    device = next(model.parameters()).device
    psnr, tokens = [], []
    for start in range(0, len(images), batch_size):
        truth = to_float(images[start : start + batch_size], device)
        tokens.append(model.encode(truth))
        error = (model.decode(tokens[-1]) - truth).square().mean(dim=(1, 2, 3)) / 4
        psnr.append(-10 * error.clamp_min(1e-10).log10())
    usage, perplexity = codebook_usage(torch.cat(tokens), model.codebook.size)
    return {
        "val_psnr": torch.cat(psnr).mean().item(),
        "codebook_usage": usage,
        "codebook_perplexity": perplexity,
    }
