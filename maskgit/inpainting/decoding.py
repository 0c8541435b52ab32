"""Iterative parallel decoding of hidden tokens (MaskGIT, arXiv 2202.04200, section 3.2).

At each step the transformer predicts every hidden token at once; all are drawn, some of them kept
and the rest hidden again. How many, which, and how they are drawn is asked of a `Decoder`; the loop
is the same for all. Known tokens are never touched. Counts and random numbers belong to each image
alone, so a result does not depend on who shares its batch.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from maskgit.schedules import Gamma


class Trajectory(NamedTuple):
    """What was known after each step. `hidden` is False everywhere after the last one."""

    tokens: Tensor  # int64 (steps, B, N); hidden places hold the mask token
    hidden: Tensor  # bool (steps, B, N)

    def steps(self) -> Tensor:
        """How many steps each image took until nothing was hidden, int64 (B,)."""
        return 1 + self.hidden[:-1].any(dim=2).sum(dim=0)


class Drawn(NamedTuple):
    """What a step has drawn for the M hidden places of a batch, in row order."""

    log_probabilities: Tensor  # double (M, K), of every code, at the temperature of sampling
    log_probability: Tensor  # double (M,), of the code that was drawn
    luck: Tensor  # double (M,), Gumbel noise times `heat`
    heat: float  # the choice temperature, falling to 0 in the last step
    place: Tensor  # int64 (M,), in the grid


class Choice(NamedTuple):
    """What is known when a step chooses what to keep."""

    hidden: Tensor  # bool (B, N), before the step
    score: Tensor  # double (B, N), the highest are kept first; infinite where not hidden
    confidence: Tensor  # double (B, N), of what was drawn, now or earlier; infinite where known
    luck: Tensor  # double (B, N), see `Drawn`


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


def sample(log_probabilities: Tensor, uniform: Tensor, sharpness: float = 1.0) -> Tensor:
    """Draws a token from each row (M, K) by inverting its distribution function.

    uniform: (M,) in [0, 1). sharpness: the power to which probabilities are raised before; infinite
    for the most likely token. Returns int64 (M,).
    """
    if sharpness == math.inf:
        return log_probabilities.argmax(dim=1)
    if sharpness != 1:
        log_probabilities = (sharpness * log_probabilities).log_softmax(dim=1)
    cumulative = log_probabilities.exp().cumsum(dim=1)
    target = uniform.double()[:, None] * cumulative[:, -1:]
    tokens = torch.searchsorted(cumulative, target, right=True)
    return tokens[:, 0].clamp_max(log_probabilities.shape[1] - 1)


def uniform_noise(shape: tuple[int, ...], generators: Sequence[torch.Generator]) -> Tensor:
    """Uniform numbers in [0, 1), (B, *shape), a generator for each image."""
    return torch.stack([torch.rand(shape, generator=g) for g in generators])


def least_confident(confidence: Tensor, count: Tensor) -> Tensor:
    """The `count` (B,) places of lowest confidence in each row (B, N), as bool (B, N).

    Exactly that many, ties included: the first place goes first.
    """
    rank = confidence.argsort(dim=1, stable=True).argsort(dim=1, stable=True)
    return rank < count[:, None]


class Decoder:
    """MaskGIT's own way: the most confident of the drawn tokens are kept, with some luck.

    Other decoders (`maskgit.inpainting.decoders`) answer one of these questions differently.
    """

    open_ended = False  # whether an image takes as many steps as it needs

    def budgets(self, initial: Tensor, gamma: Gamma, iterations: int) -> Tensor:
        """What `still_hidden` is told at each step, for each image, (steps, B); here how many
        tokens stay hidden. initial: int64 (B,), hidden before the first step."""
        return hidden_counts(initial, gamma, iterations)

    def sharpness(self, heat: float, last: bool) -> float:
        """The power to which probabilities are raised before tokens are drawn from them."""
        return 1.0

    def score(self, drawn: Drawn) -> Tensor:
        """Of each hidden place, double (M,): the highest are kept first."""
        return drawn.log_probability + drawn.luck

    def still_hidden(self, choice: Choice, budget: Tensor) -> Tensor:
        """What is hidden after the step, bool (B, N); at least one token fewer than before."""
        return least_confident(choice.score, budget)


MASKGIT = Decoder()


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
    decoder: Decoder = MASKGIT,
) -> Trajectory:
    """Fills the hidden tokens of a batch.

    predict: maps tokens int64 (B, N), mask token where hidden, and hidden bool (B, N) to the
    logits (M, K) of the hidden places in row order. tokens: int64 (B, N), whatever they hold
    where hidden. iterations: the number of steps, unless the decoder takes another meaning from it.
    temperature: of the drawn tokens; at 0 the most likely. choice_temperature: of the Gumbel noise
    in choosing which tokens to keep; it falls linearly to 0.
    """
    tokens = tokens.masked_fill(hidden, mask_token)
    budgets = decoder.budgets(hidden.sum(dim=1), gamma, iterations)
    confidence = torch.full(hidden.shape, torch.inf, dtype=torch.double, device=tokens.device)
    trajectory = []
    for step, budget in enumerate(budgets, start=1):
        noise = uniform_noise((2, hidden.shape[1]), generators).to(tokens.device)
        if hidden.any():
            heat = choice_temperature * (1 - step / len(budgets))
            luck = heat * -(-noise[:, 1].double().clamp_min(1e-20).log()).log()
            log_probabilities = (predict(tokens, hidden).double() / (temperature or 1)).log_softmax(
                dim=1
            )
            sharpness = decoder.sharpness(heat, step == len(budgets)) if temperature else math.inf
            new = sample(log_probabilities, noise[:, 0][hidden], sharpness)
            confidence[hidden] = log_probabilities.gather(1, new[:, None])[:, 0]
            place = hidden.nonzero()[:, 1]
            drawn = Drawn(log_probabilities, confidence[hidden], luck[hidden], heat, place)
            score = torch.full_like(confidence, torch.inf)
            score[hidden] = decoder.score(drawn)
            choice = Choice(hidden, score, confidence, luck)
            still_hidden = decoder.still_hidden(choice, budget)
            tokens = tokens.masked_scatter(hidden, new).masked_fill(still_hidden, mask_token)
            hidden = still_hidden
        trajectory.append((tokens, hidden))
        if decoder.open_ended and not hidden.any():
            break
    return Trajectory(*map(torch.stack, zip(*trajectory, strict=True)))
