"""Iterative parallel decoding of hidden tokens (MaskGIT, arXiv 2202.04200, section 3.2).

At each step the transformer predicts every hidden token at once; all are sampled, the first in
order (the most confident ones) are kept and the rest hidden again, as the schedule says. Known
tokens are never touched. Counts and random numbers belong to each image alone, so a result does
not depend on who shares its batch.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from maskgit.schedules import Gamma

Order = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Which tokens are revealed first: log-probabilities of the sampled tokens (M,), annealed Gumbel
noise (M,), their places in the grid int64 (M,) -> float (M,), the highest are revealed first."""


class Trajectory(NamedTuple):
    """What was known after each step. `hidden` is False everywhere after the last one."""

    tokens: Tensor  # int64 (iterations, B, N); hidden places hold the mask token
    hidden: Tensor  # bool (iterations, B, N)


def hidden_counts(initial: Tensor, gamma: Gamma, iterations: int) -> Tensor:
    """How many tokens of each image stay hidden after each step.

    initial: int64 (B,), hidden tokens before the first step. Returns int64 (iterations, B):
    floor(gamma(done share) * initial), but at least one fewer than before, and in the end none.
    """
    counts, left = [], initial
    for step in range(1, iterations + 1):
        wanted = (gamma(step / iterations) * initial).floor().long()
        left = torch.minimum(wanted, left - 1).clamp_min(0)
        counts.append(left)
    return torch.stack(counts)


def sample(logits: Tensor, uniform: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Draws a token from each row of logits (M, K) by inverting its distribution function.

    uniform: (M,) in [0, 1). Returns tokens int64 (M,) and their log-probabilities (M,), both of
    the distribution at `temperature`. At 0 the most likely tokens, with theirs at 1.
    """
    if temperature == 0:
        log_probability, tokens = logits.double().log_softmax(dim=1).max(dim=1)
        return tokens, log_probability
    log_probability = (logits.double() / temperature).log_softmax(dim=1)
    cumulative = log_probability.exp().cumsum(dim=1)
    target = uniform.double()[:, None] * cumulative[:, -1:]
    tokens = torch.searchsorted(cumulative, target, right=True).clamp_max(logits.shape[1] - 1)
    return tokens[:, 0], log_probability.gather(1, tokens)[:, 0]


def uniform_noise(shape: tuple[int, ...], generators: Sequence[torch.Generator]) -> Tensor:
    """Uniform numbers in [0, 1), (B, *shape), a generator for each image."""
    return torch.stack([torch.rand(shape, generator=g) for g in generators])


def least_confident(confidence: Tensor, count: Tensor) -> Tensor:
    """The `count` (B,) places of lowest confidence in each row (B, N), as bool (B, N).

    Exactly that many, ties included: the first place goes first.
    """
    rank = confidence.argsort(dim=1, stable=True).argsort(dim=1, stable=True)
    return rank < count[:, None]


def by_confidence(log_probability: Tensor, noise: Tensor, place: Tensor) -> Tensor:
    """The most confident first, with some luck (MaskGIT)."""
    return log_probability + noise


def by_halton(grid: int) -> Order:
    """Spread evenly over a grid x grid picture, whatever the transformer thinks.

    Besnier et al., "Halton Scheduler for Masked Generative Image Transformer", arXiv 2503.17076:
    neighbours in the picture are revealed in different steps, and so know of each other.
    """
    from scipy.stats import qmc  # here, since it takes half a second to load

    points, cells = 4 * grid * grid, []
    while len(cells) < grid * grid:  # in the sequence's order, each cell once
        sequence = qmc.Halton(2, scramble=False).random(points)
        rows, columns = (sequence * grid).astype(int).T
        cells = list(dict.fromkeys((rows * grid + columns).tolist()))
        points *= 2
    rank = torch.empty(grid * grid, dtype=torch.double)
    rank[torch.tensor(cells)] = torch.arange(grid * grid, dtype=torch.double)
    return lambda log_probability, noise, place: -rank.to(place.device)[place]


ORDERS: dict[str, Callable[[int], Order]] = {
    "confidence": lambda grid: by_confidence,
    "halton": by_halton,
}
"""Orders by name, each for a grid x grid picture."""


def decode(
    predict: Callable[[Tensor, Tensor], Tensor],
    tokens: Tensor,
    hidden: Tensor,
    mask_token: int,
    gamma: Gamma,
    iterations: int,
    generators: Sequence[torch.Generator],
    temperature: float = 1.0,
    choice_temperature: float = 4.5,
    order: Order = by_confidence,
) -> Trajectory:
    """Fills the hidden tokens of a batch in `iterations` steps.

    predict: maps tokens int64 (B, N), mask token where hidden, and hidden bool (B, N) to the
    logits (M, K) of the hidden places in row order. tokens: int64 (B, N), whatever they hold
    where hidden. temperature: of the sampled tokens. choice_temperature: of the Gumbel noise
    added to the log-probabilities when choosing which tokens to keep; it falls linearly to 0.
    order: which of the sampled tokens to keep.
    """
    tokens = tokens.masked_fill(hidden, mask_token)
    counts = hidden_counts(hidden.sum(dim=1), gamma, iterations)
    trajectory = []
    for step, count in enumerate(counts, start=1):
        noise = uniform_noise((2, hidden.shape[1]), generators).to(tokens.device)
        if hidden.any():
            logits = predict(tokens, hidden)
            drawn, log_probability = sample(logits, noise[:, 0][hidden], temperature)
            gumbel = -(-noise[:, 1][hidden].double().clamp_min(1e-20).log()).log()
            annealed = choice_temperature * (1 - step / iterations)
            confidence = torch.full(hidden.shape, torch.inf, dtype=torch.double).to(tokens.device)
            place = hidden.nonzero()[:, 1]
            confidence[hidden] = order(log_probability, annealed * gumbel, place)  # known: infinite
            still_hidden = least_confident(confidence, count)
            tokens = tokens.masked_scatter(hidden, drawn).masked_fill(still_hidden, mask_token)
            hidden = still_hidden
        trajectory.append((tokens, hidden))
    return Trajectory(*map(torch.stack, zip(*trajectory, strict=True)))
