"""What both trainings share: learning-rate schedule, optimisers, weight averaging, precision."""

import ctypes
import math
import sys

import numpy as np
import torch
from torch import Tensor, nn


def warmup_cosine(step: int, steps: int, warmup: int) -> float:
    """Share of the peak learning rate at `step`: linear warm-up, then a cosine down to zero."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


@torch.no_grad()
def update_ema(average: nn.Module, model: nn.Module, step: int, decay: float) -> None:
    """Moves the averaged weights towards the model's; young averages forget faster."""
    keep = min(decay, (1 + step) / (10 + step))
    for mean, value in zip(average.parameters(), model.parameters(), strict=True):
        mean.lerp_(value, 1 - keep)


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised, for matrices (Jordan et al. 2024).

    A convolution (out, in, kh, kw) counts as the matrix (out, in * kh * kw). Reaches a lower loss
    than AdamW in equal steps. The update's size is that of AdamW (Moonshot, arXiv 2502.16982,
    equation 4), so both share a learning rate. torch.optim.Muon does the same in bf16, which most
    laptop processors emulate hundreds of times slower than float32, and for matrices only.
    """

    def __init__(self, params, lr: float, weight_decay: float, momentum: float = 0.95):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            lr, momentum = group["lr"], group["momentum"]
            for p in group["params"]:
                velocity = self.state[p].setdefault("velocity", torch.zeros_like(p))
                velocity.mul_(momentum).add_(p.grad)
                update = orthogonalise((p.grad + momentum * velocity).flatten(1))  # Nesterov
                p.mul_(1 - lr * group["weight_decay"])
                p.add_(update.view_as(p), alpha=-0.2 * lr * math.sqrt(max(update.shape)))


def orthogonalise(matrix: Tensor, iterations: int = 5) -> Tensor:
    """The nearest orthogonal matrix, nearly: singular values end between 0.7 and 1.2.

    Newton-Schulz iteration with Jordan's coefficients, on the smaller side.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(iterations):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if tall else x


def muon_and_adamw(
    model: nn.Module,
    matrices: list[nn.Parameter],
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float],
) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the model's blocks, AdamW for everything else.

    Embeddings, first and last layers, norms and biases are not matrices in Muon's sense.
    """
    inside = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in inside]
    return [
        Muon(matrices, learning_rate, weight_decay),
        torch.optim.AdamW(others, learning_rate, betas=betas, weight_decay=weight_decay),
    ]


def set_learning_rate(optimisers: list[torch.optim.Optimizer], learning_rate: float) -> None:
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate


def bf16_pays(device: torch.device) -> bool:
    """True on GPUs and on processors with matrix units for bf16 (AMX).

    Elsewhere it does not: without any bf16 instruction it is emulated, hundreds of times slower
    than float32, and with avx512_bf16 alone a training step took 1.5 to 1.8 times as long (Xeon).
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


def autocast(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16_pays(device))


def keep_freed_memory() -> None:
    """Lets the C library reuse large buffers in place of giving each back to the system.

    A training frees and takes the same buffers at every step. On two Linux cores a step of the
    transformer took 13 to 21 % less time; the tokenizer's gain was within the noise.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # absent from musl
        if mallopt is not None:
            m_mmap_threshold, m_trim_threshold = -3, -1
            mallopt(m_mmap_threshold, 2**30)
            mallopt(m_trim_threshold, 2**31 - 1)


def to_float(images: np.ndarray, device: torch.device) -> Tensor:
    """uint8 (N, H, W, 3) -> float (N, 3, H, W) in [-1, 1]; channels stay last in memory."""
    tensor = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    return tensor.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def to_uint8(images: Tensor) -> np.ndarray:
    """float (N, 3, H, W) in [-1, 1] -> uint8 (N, H, W, 3), rounded."""
    pixels = images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
