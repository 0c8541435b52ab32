"""What both trainings share: learning-rate schedule, optimisers, weight averaging, precision."""

import ctypes
import math
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

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
    equation 4), so both share a learning rate. torch.optim.Muon is for matrices only, takes them
    one by one, and always works in bf16, which many processors emulate hundreds of times slower
    than float32.
    """

    def __init__(self, params, lr: float, weight_decay: float, momentum: float = 0.95):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            by_shape = defaultdict(list)  # equal ones are multiplied together, which is faster
            for p in group["params"]:
                by_shape[p.shape].append(p)
            for same in by_shape.values():
                updates = torch.stack([self._nesterov(p, group["momentum"]) for p in same])
                updates = orthogonalise(updates.flatten(2)).view(updates.shape)
                size = 0.2 * math.sqrt(max(updates[0].flatten(1).shape))
                for p, update in zip(same, updates, strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(update, alpha=-group["lr"] * size)

    def _nesterov(self, p: Tensor, momentum: float) -> Tensor:
        velocity = self.state[p].setdefault("velocity", torch.zeros_like(p))
        velocity.mul_(momentum).add_(p.grad)
        return p.grad + momentum * velocity


def orthogonalise(matrices: Tensor, iterations: int = 5) -> Tensor:
    """The nearest orthogonal matrices, nearly: singular values end between 0.7 and 1.2.

    Newton-Schulz iteration with Jordan's coefficients, on the smaller side, for each matrix of
    (M, m, n); in bf16 where that is faster, since it only has to come near.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    if bf16_pays(x.device):
        x = x.bfloat16()
    for _ in range(iterations):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=-4.7750, alpha=2.0315)
        x = torch.baddbmm(x, polynomial, x, beta=3.4445)
    return (x.mT if tall else x).to(matrices.dtype)


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


@cache
def bf16_pays(device: torch.device) -> bool:
    """True on GPUs, and on processors that multiply matrices faster in bf16 than in float32.

    Those are the ones with matrix units (AMX), and AMD's with avx512_bf16 (2 to 3 times as fast on
    Zen 4). On a Xeon with avx512_bf16 alone a training step took 1.5 to 1.8 times as long as in
    float32, and without any bf16 instruction it is emulated, hundreds of times slower.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    able = torch.cpu.get_capabilities()
    return bool(able.get("amx_bf16") or (able.get("avx512_bf16") and "AuthenticAMD" in cpu_info()))


def cpu_info() -> str:
    """What Linux says of the processor; empty elsewhere."""
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.exists() else ""


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
