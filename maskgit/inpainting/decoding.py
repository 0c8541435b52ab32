"""Iterative parallel decoding of hidden tokens (MaskGIT, arXiv 2202.04200, section 3.2).

At each step the transformer predicts every hidden token at once; all are drawn, some of them kept
and the rest hidden again. How many, which, and how they are drawn is asked of a `TokenDecoder`; the
loop is the same for all. Known tokens are never touched. Counts and random numbers belong to each
image alone, so a result does not depend on who shares its batch.
"""

import math
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from maskgit.inpainting.settings import TEMPERATURE, Sampler
from maskgit.schedules import Gamma
from maskgit.validation import NotNegative, Section


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
    gumbel_noise: Tensor  # double (M,), Gumbel noise times `choice_temperature`
    choice_temperature: float  # the decoder's answer to `TokenDecoder.choice_temperature_at`
    place: Tensor  # int64 (M,), in the grid
    places: int  # N, of the whole grid


class Choice(NamedTuple):
    """What is known when a step chooses what to keep."""

    hidden: Tensor  # bool (B, N), before the step
    score: Tensor  # double (B, N), the highest are kept first; infinite where not hidden
    confidence: Tensor  # double (B, N), of what was drawn, now or earlier; infinite where known
    gumbel_noise: Tensor  # double (B, N), see `Drawn`


def hidden_counts(initial: Tensor, gamma: Gamma, steps: int) -> Tensor:
    """How many tokens of each image stay hidden after each step.

    initial: int64 (B,), hidden tokens before the first step. Returns int64 (steps, B):
    floor(gamma(done share) * initial), but at least one fewer than before, and in the end none.
    """
    counts, left = [], initial
    for step in range(1, steps + 1):
        wanted = (gamma(step / steps) * initial).floor().long()
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


def uniform_noise(
    shape: tuple[int, ...],
    generators: Sequence[torch.Generator],
    drawing: Sequence[bool] | None = None,
) -> Tensor:
    """Uniform numbers in [0, 1), (B, *shape), a generator for each image.

    drawing: for which images numbers are drawn; the others get zeros.
    """
    drawing = [True] * len(generators) if drawing is None else drawing
    pairs = zip(generators, drawing, strict=True)
    return torch.stack(
        [torch.rand(shape, generator=g) if d else torch.zeros(shape) for g, d in pairs]
    )


def least_confident(confidence: Tensor, count: Tensor) -> Tensor:
    """The `count` (B,) places of lowest confidence in each row (B, N), as bool (B, N).

    Exactly that many, ties included: the first place goes first.
    """
    rank = confidence.argsort(dim=1, stable=True).argsort(dim=1, stable=True)
    return rank < count[:, None]


class TokenDecoder(Section):
    """The settings of a decoder and its answers to the questions of `decode`.

    Answers as here: a schedule says how many tokens stay hidden after each of a number of steps,
    and the most likely of the drawn tokens are kept. `maskgit.inpainting.decoders` holds MaskGIT's
    own and others. Objects cannot be changed; `changed` makes another.
    """

    open_ended: ClassVar[bool] = False  # whether an image takes as many steps as it needs

    temperature: NotNegative = TEMPERATURE  # of the drawn tokens; at 0 the most likely

    @classmethod
    def from_settings(cls, sampler: Sampler) -> "TokenDecoder":
        """Returns the decoder with those of the sampler's settings that are its own."""
        return cls(**{name: getattr(sampler, name) for name in cls.model_fields})

    def budgets(self, initial: Tensor, gamma: Gamma, spend: int) -> Tensor:
        """What `still_hidden` is told at each step, for each image, (steps, B).

        Here `spend` is the number of steps, and a budget the number of tokens that stay hidden.
        initial: int64 (B,), hidden before the first step.
        """
        return hidden_counts(initial, gamma, spend)

    def choice_temperature_at(self, done: float) -> float:
        """The temperature of the noise in choosing, when this share of the steps is done."""
        return 0.0

    def sharpness(self, choice_temperature: float, last: bool) -> float:
        """The power to which probabilities are raised before tokens are drawn from them."""
        return 1.0

    def score(self, drawn: Drawn) -> Tensor:
        """Of each hidden place, double (M,): the highest are kept first."""
        return drawn.log_probability

    def still_hidden(self, choice: Choice, budget: Tensor) -> Tensor:
        """What is hidden after the step, bool (B, N); at least one token fewer than before."""
        return least_confident(choice.score, budget)


def decode(
    decoder: TokenDecoder,
    predict: Callable[[Tensor, Tensor], Tensor],
    tokens: Tensor,
    hidden: Tensor,
    mask_token: int,
    gamma: Gamma,
    spend: int,
    generators: Sequence[torch.Generator],
) -> Trajectory:
    """Fills the hidden tokens of a batch.

    predict: maps tokens int64 (B, N), mask token where hidden, and hidden bool (B, N) to the
    logits (M, K) of the hidden places in row order. tokens: int64 (B, N), whatever they hold
    where hidden. spend: what the decoder may spend, in its unit: a number of steps for most.
    """
    tokens = tokens.masked_fill(hidden, mask_token)
    budgets = decoder.budgets(hidden.sum(dim=1), gamma, spend)
    confidence = torch.full(hidden.shape, torch.inf, dtype=torch.double, device=tokens.device)
    temperature, trajectory = decoder.temperature, []
    for step, budget in enumerate(budgets, start=1):
        # where images take their own numbers of steps, each draws in its own steps only
        drawing = hidden.any(dim=1).tolist() if decoder.open_ended else [True] * len(hidden)
        noise = uniform_noise((2, hidden.shape[1]), generators, drawing).to(tokens.device)
        if hidden.any():
            choice_temperature = decoder.choice_temperature_at(step / len(budgets))
            gumbel_noise = (
                choice_temperature * -(-noise[:, 1].double().clamp_min(1e-20).log()).log()
            )
            log_probabilities = (predict(tokens, hidden).double() / (temperature or 1)).log_softmax(
                dim=1
            )
            sharpness = (
                decoder.sharpness(choice_temperature, step == len(budgets))
                if temperature
                else math.inf
            )
            new = sample(log_probabilities, noise[:, 0][hidden], sharpness)
            confidence[hidden] = log_probabilities.gather(1, new[:, None])[:, 0]
            place, places = hidden.nonzero()[:, 1], hidden.shape[1]
            drawn = Drawn(
                log_probabilities,
                confidence[hidden],
                gumbel_noise[hidden],
                choice_temperature,
                place,
                places,
            )
            score = torch.full_like(confidence, torch.inf)
            score[hidden] = decoder.score(drawn)
            choice = Choice(hidden, score, confidence, gumbel_noise)
            still_hidden = decoder.still_hidden(choice, budget)
            tokens = tokens.masked_scatter(hidden, new).masked_fill(still_hidden, mask_token)
            hidden = still_hidden
        trajectory.append((tokens, hidden))
        if decoder.open_ended and not hidden.any():
            break
    return Trajectory(*map(torch.stack, zip(*trajectory, strict=True)))
