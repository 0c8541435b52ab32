"""Learning-rate schedule, optimisers and weight averaging of the trainings."""

import math
from collections import defaultdict

import torch
from torch import Tensor, nn

from maskgit.device import bf16_is_faster

NEWTON_SCHULZ_STEPS = 5  # of `orthogonalise`, as in Muon


def warmup_cosine(step: int, steps: int, warmup: int) -> float:
    """Returns the learning rate at `step` over its peak: linear warm-up, then cosine to zero."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


@torch.no_grad()
def update_ema(average: nn.Module, model: nn.Module, step: int, decay: float) -> None:
    """Updates an exponential moving average of weights; its decay is lower in the first steps."""
    keep = min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - keep)


class Muon(torch.optim.Optimizer):
    """The optimiser Muon: momentum with orthogonalised updates, for matrices (Jordan et al. 2024).

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
                if p.grad is not None:
                    by_shape[p.shape].append(p)
            for same in by_shape.values():
                updates = torch.stack(self._nesterov(same, group["momentum"]))
                updates = orthogonalise(updates.flatten(2)).view(updates.shape)
                size = 0.2 * math.sqrt(max(updates[0].flatten(1).shape))
                rate = group["lr"]
                torch._foreach_mul_(same, 1 - rate * group["weight_decay"])
                if isinstance(rate, Tensor):
                    torch._foreach_add_(same, list(updates * (-rate * size)))
                else:
                    torch._foreach_add_(same, list(updates), alpha=-rate * size)

    def _nesterov(self, parameters: list[Tensor], momentum: float) -> list[Tensor]:
        gradients = [p.grad for p in parameters]
        for p in parameters:
            if "velocity" not in self.state[p]:
                self.state[p]["velocity"] = torch.zeros_like(p)
        velocities = [self.state[p]["velocity"] for p in parameters]
        torch._foreach_mul_(velocities, momentum)
        torch._foreach_add_(velocities, gradients)
        return list(torch._foreach_add(gradients, velocities, alpha=momentum))


def orthogonalise(matrices: Tensor) -> Tensor:
    """Returns approximately the nearest orthogonal matrices.

    Most singular values are from 0.7 to 1.2; those that were very small stay small.
    Newton-Schulz iteration with Jordan's coefficients, on the smaller side, for each matrix of
    (M, m, n). It runs in bf16 where that is faster, since an approximation is enough.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    if bf16_is_faster(x.device):
        x = x.bfloat16()
    for _ in range(NEWTON_SCHULZ_STEPS):
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
    """Returns Muon for `matrices`, and AdamW for all other parameters of the model.

    Muon is meant for the matrices inside blocks; embeddings, first and last layers, norms and
    biases need AdamW.
    """
    inside = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in inside]
    return [
        Muon(matrices, learning_rate, weight_decay),
        adamw(others, learning_rate, weight_decay, betas),
    ]


def adamw(
    parameters: list[nn.Parameter],
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float],
) -> torch.optim.AdamW:
    """Returns AdamW as a fused kernel, which on a GPU does not wait for its step count."""
    return torch.optim.AdamW(
        parameters, learning_rate, betas=betas, weight_decay=weight_decay, fused=True
    )


def set_learning_rate(optimisers: list[torch.optim.Optimizer], learning_rate: float) -> None:
    """Sets the learning rate of all parameters of the optimisers."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(learning_rate)
            else:
                group["lr"] = learning_rate


def make_capturable(optimisers: list[torch.optim.Optimizer], device: torch.device) -> None:
    """Moves the learning rates to the device, where a CUDA graph reads them at each replay."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            rate = float(group["lr"])
            group |= {"lr": torch.tensor(rate, device=device), "capturable": True}
