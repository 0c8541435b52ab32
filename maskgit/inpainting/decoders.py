"""Decoders: MaskGIT's, and others that differ in which tokens a step reveals or how it samples.

All of them use the transformer as it was trained. To add a decoder, write its class and register it
in `maskgit.inpainting.registry`; see docs/develop.md.
"""

import math
from functools import cache
from typing import ClassVar

import torch
from torch import Tensor

from maskgit.inpainting.decoding import Choice, Drawn, TokenDecoder, least_confident
from maskgit.inpainting.settings import CHOICE_TEMPERATURE
from maskgit.schedules import Gamma
from maskgit.validation import NotNegative


class Confidence(TokenDecoder):
    """Keeps the tokens of highest confidence plus Gumbel noise, as MaskGIT (arXiv 2202.04200)."""

    choice_temperature: NotNegative = (
        CHOICE_TEMPERATURE  # of the Gumbel noise; it falls linearly to 0
    )

    def choice_temperature_at(self, done: float) -> float:
        return self.choice_temperature * (1 - done)

    def score(self, drawn: Drawn) -> Tensor:
        return drawn.log_probability + drawn.gumbel_noise


class Halton(TokenDecoder):
    """Reveals tokens in the order of a Halton sequence over the grid, not by confidence.

    Besnier et al., "Halton Scheduler for Masked Generative Image Transformer", arXiv 2503.17076.
    Neighbours are revealed in different steps, so that the later one is predicted from the earlier.
    """

    def score(self, drawn: Drawn) -> Tensor:
        rank = halton_rank(math.isqrt(drawn.places))
        return -rank.to(drawn.place.device)[drawn.place]


@cache
def halton_rank(grid: int) -> Tensor:
    """Returns the rank of each place of the grid in a Halton sequence, double (grid * grid,)."""
    from scipy.stats import qmc  # imported here, since it takes half a second

    points, order = 4 * grid * grid, []
    while len(order) < grid * grid:  # until every place was visited
        sequence = qmc.Halton(2, scramble=False).random(points)
        rows, columns = (sequence * grid).astype(int).T
        order = list(dict.fromkeys((rows * grid + columns).tolist()))
        points *= 2
    rank = torch.empty(grid * grid, dtype=torch.double)
    rank[torch.tensor(order)] = torch.arange(grid * grid, dtype=torch.double)
    return rank


class Moment(Confidence):
    """The moment sampler: chooses the places to reveal, then samples their tokens.

    Hayakawa et al., "Demystifying MaskGIT Sampler and Beyond", arXiv 2510.04525. At a choice
    temperature c MaskGIT keeps a sampled token of probability p in proportion to p^(1/c). Where it
    keeps few of many, the kept tokens are distributed in proportion to p^b, b = 1 + 1/c: as if
    sampled at a lower temperature than asked for. The moment sampler does the same explicitly. It
    chooses a place in proportion to the sum of its p^b (by Gumbel-top-k) and samples the token in
    proportion to p^b. The last step reveals all places and samples from p, as MaskGIT does.
    """

    def sharpness(self, choice_temperature: float, last: bool) -> float:
        return 1.0 if last else moment_power(choice_temperature)

    def score(self, drawn: Drawn) -> Tensor:
        if drawn.choice_temperature == 0:
            return drawn.log_probabilities.max(dim=1).values
        b = moment_power(drawn.choice_temperature)
        moment = (b * drawn.log_probabilities).logsumexp(dim=1)
        return moment + drawn.gumbel_noise / drawn.choice_temperature


def moment_power(choice_temperature: float) -> float:
    """Returns the power b of `Moment`: MaskGIT samples implicitly at 1 / b of its temperature."""
    return 1 + 1 / choice_temperature if choice_temperature > 0 else math.inf


class EntropyBound(TokenDecoder):
    """Reveals as many tokens a step as a bound on their joint dependence allows.

    Ben-Hamu et al., "Accelerated Sampling from Masked Diffusion Models via Entropy Bounded
    Unmasking", arXiv 2505.24857. Tokens are revealed by rising entropy while the sum of their
    entropies less the largest, an upper bound of their dependence, is at most the given bound. It
    is in nats, at the temperature of sampling. The schedule is not used. An image takes as many
    steps as it needs.
    """

    open_ended: ClassVar[bool] = True

    def budgets(self, initial: Tensor, gamma: Gamma, bound: int) -> Tensor:
        """Returns the bound for each step, of which there are enough to reveal one token each."""
        return initial.new_full((max(1, int(initial.max())), len(initial)), bound)

    def score(self, drawn: Drawn) -> Tensor:
        return -torch.special.entr(drawn.log_probabilities.exp()).sum(dim=1)

    def still_hidden(self, choice: Choice, budget: Tensor) -> Tensor:
        order = choice.score.argsort(dim=1, descending=True, stable=True)
        entropy = -choice.score.masked_fill(~choice.hidden, 0).gather(1, order)
        others = entropy.cumsum(dim=1) - entropy  # the last one is the largest
        revealed = torch.empty_like(choice.hidden).scatter(1, order, others <= budget[:, None])
        return choice.hidden & ~revealed


class Remask(Confidence):
    """Hides some revealed tokens again, as ReMDM, within the same number of steps.

    Wang et al., "Remasking Discrete Diffusion Models with Inference-Time Scaling" (ReMDM), arXiv
    2503.00307, capped and by confidence. Each step but the last hides a share of the revealed
    tokens again, first those that were least likely when they were sampled. As many more are
    revealed, so that the schedule holds.
    """

    SHARE: ClassVar[float] = 0.1  # of the revealed tokens, hidden again at each step

    def still_hidden(self, choice: Choice, budget: Tensor) -> Tensor:
        decided = ~choice.hidden & choice.confidence.isfinite()
        again = torch.minimum((self.SHARE * decided.sum(dim=1)).ceil().long(), budget)
        doubt = (choice.confidence + choice.gumbel_noise).masked_fill(~decided, torch.inf)
        return least_confident(choice.score, budget - again) | least_confident(doubt, again)
