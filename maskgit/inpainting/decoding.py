"""Iterative parallel decoding of hidden tokens (MaskGIT, arXiv 2202.04200, section 3.2).

At each step the transformer predicts every hidden token at once. All of them are sampled; some are
kept, and the others stay hidden. A `TokenDecoder` says how many are kept, which, and how they are
sampled; the loop is the same for all decoders. Known tokens are never changed. Each image has its
own counts and random numbers, so that its result does not depend on the other images of the batch.
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
    """Tokens, and which were hidden, after each step; of a whole decoding, none after the last."""

    tokens: Tensor  # int64 (steps, B, N); hidden places hold the mask token
    hidden: Tensor  # bool (steps, B, N)

    def steps(self) -> Tensor:
        """Returns the number of steps until no token of an image was hidden, at least 1; (B,)."""
        return 1 + self.hidden[:-1].any(dim=2).sum(dim=0)


class Drawn(NamedTuple):
    """Sampled tokens of one step at the M hidden places of a batch, in row order."""

    log_probabilities: Tensor  # double (M, K), of every code, at the sampling temperature
    log_probability: Tensor  # double (M,), of the sampled code
    gumbel_noise: Tensor  # double (M,), Gumbel noise times `choice_temperature`
    choice_temperature: float  # of this step, see `TokenDecoder.choice_temperature_at`
    place: Tensor  # int64 (M,), in the grid
    places: int  # N, of the whole grid


class Choice(NamedTuple):
    """The state of a batch when a decoder chooses the tokens that stay hidden."""

    hidden: Tensor  # bool (B, N), before the step
    score: Tensor  # double (B, N), the highest are kept first; infinite where not hidden
    confidence: (
        Tensor  # double (B, N), when the token was sampled, now or earlier; infinite where known
    )
    gumbel_noise: Tensor  # double (B, N), see `Drawn`


def hidden_counts(initial: Tensor, gamma: Gamma, steps: int) -> Tensor:
    """Returns how many tokens of each image stay hidden after each step.

    initial: int64 (B,), hidden tokens before the first step. Returns int64 (steps, B):
    floor(gamma(step / steps) * initial), but at least one fewer than before, if
    there were any, and 0 after the last.
    """
    counts, left = [], initial
    for step in range(1, steps + 1):
        wanted = (gamma(step / steps) * initial).floor().long()
        left = torch.minimum(wanted, left - 1).clamp_min(0)
        counts.append(left)
    return torch.stack(counts)


def sample(log_probabilities: Tensor, uniform: Tensor, sharpness: float = 1.0) -> Tensor:
    """Samples a token from each row (M, K) by inverting its distribution function.

    uniform: (M,) in [0, 1). sharpness: the power to which probabilities are raised before, an
    inverse temperature; infinite for the most likely token. Returns int64 (M,).
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
    """Returns uniform random numbers in [0, 1), (B, *shape), from a generator for each image.

    drawing: images for which numbers are drawn; the others get zeros.
    """
    drawing = [True] * len(generators) if drawing is None else drawing
    pairs = zip(generators, drawing, strict=True)
    return torch.stack(
        [torch.rand(shape, generator=g) if d else torch.zeros(shape) for g, d in pairs]
    )


def to_gumbel(uniform: Tensor) -> Tensor:
    """Converts uniform numbers in [0, 1) to standard Gumbel noise, double, of the same shape."""
    return -(-uniform.double().clamp_min(1e-20).log()).log()


def least_confident(confidence: Tensor, count: Tensor) -> Tensor:
    """Marks the `count` (B,) places of lowest confidence in each row (B, N), as bool (B, N).

    Of equal confidences the first place counts as lowest, so that the count is exact.
    """
    rank = confidence.argsort(dim=1, stable=True).argsort(dim=1, stable=True)
    return rank < count[:, None]


class TokenDecoder(Section):
    """A decoder: its settings, and the methods by which `decode` asks what a step does.

    In this base class a schedule says how many tokens stay hidden after each step, and the sampled
    tokens of highest probability are kept. MaskGIT's decoder and others are in
    `maskgit.inpainting.decoders`. Objects are immutable; `changed` returns another.
    """

    open_ended: ClassVar[bool] = False  # whether images take their own numbers of steps

    temperature: NotNegative = TEMPERATURE  # of sampling; 0 takes the most likely code

    @classmethod
    def from_settings(cls, sampler: Sampler) -> "TokenDecoder":
        """Returns the decoder with its settings from those of the sampler."""
        return cls(**{name: getattr(sampler, name) for name in cls.model_fields})

    def budgets(self, initial: Tensor, gamma: Gamma, spend: int) -> Tensor:
        """Returns the budget of `still_hidden` at each step for each image, (steps, B).

        In this class `spend` is the number of steps, and the budget how many tokens stay hidden.
        initial: int64 (B,), hidden before the first step.
        """
        return hidden_counts(initial, gamma, spend)

    def choice_temperature_at(self, done: float) -> float:
        """Returns the temperature of the Gumbel noise when a share `done` of the steps is done."""
        return 0.0

    def sharpness(self, choice_temperature: float, last: bool) -> float:
        """Returns the power to which probabilities are raised before sampling."""
        return 1.0

    def score(self, drawn: Drawn) -> Tensor:
        """Returns a score for each hidden place, double (M,); the highest are kept first."""
        return drawn.log_probability

    def still_hidden(self, choice: Choice, budget: Tensor) -> Tensor:
        """Returns the tokens hidden after the step, bool (B, N), fewer than before, if any."""
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
    last: bool = True,
) -> Trajectory:
    """Predicts the hidden tokens of a batch, step by step.

    predict: maps tokens int64 (B, N), mask token where hidden, and hidden bool (B, N) to the
    logits (M, K) of the hidden places in row order. tokens: int64 (B, N), of any
    value where hidden. spend: what the decoder may spend, in its own unit: for most, a number of
    steps. last: whether the last step is taken; without it the tokens that it draws stay hidden.
    """
    tokens = tokens.masked_fill(hidden, mask_token)
    budgets = decoder.budgets(hidden.sum(dim=1), gamma, spend)
    confidence = torch.full(hidden.shape, torch.inf, dtype=torch.double, device=tokens.device)
    temperature, trajectory = decoder.temperature, []
    for step, budget in enumerate(budgets if last else budgets[:-1], start=1):
        # An image that takes fewer steps than others must draw random numbers in its own only.
        drawing = hidden.any(dim=1).tolist() if decoder.open_ended else [True] * len(hidden)
        noise = uniform_noise((2, hidden.shape[1]), generators, drawing).to(tokens.device)
        if hidden.any():
            choice_temperature = decoder.choice_temperature_at(step / len(budgets))
            gumbel_noise = choice_temperature * to_gumbel(noise[:, 1])
            log_probabilities = (predict(tokens, hidden).double() / (temperature or 1)).log_softmax(
                dim=1
            )
            final = step == len(budgets)
            sharpness = decoder.sharpness(choice_temperature, final) if temperature else math.inf
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
