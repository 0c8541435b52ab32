"""MaskGIT's own decoder and others: each answers some questions of the loop differently.

All of them use the transformer as it was trained. To add one, write the class and register it in
`maskgit.inpainting.registry`; see docs/develop.md.
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
    """MaskGIT's own (arXiv 2202.04200): of the drawn tokens the most confident, with some luck."""

    choice_temperature: NotNegative = CHOICE_TEMPERATURE  # of the luck; it falls linearly to 0

    def choice_temperature_at(self, done: float) -> float:
        return self.choice_temperature * (1 - done)

    def score(self, drawn: Drawn) -> Tensor:
        return drawn.log_probability + drawn.gumbel_noise


class Halton(TokenDecoder):
    """Spread evenly over the picture, whatever the transformer thinks.

    Besnier et al., "Halton Scheduler for Masked Generative Image Transformer", arXiv 2503.17076:
    neighbours in the picture are revealed in different steps, and so know of each other.
    """

    def score(self, drawn: Drawn) -> Tensor:
        rank = halton_rank(math.isqrt(drawn.places))
        return -rank.to(drawn.place.device)[drawn.place]


@cache
def halton_rank(grid: int) -> Tensor:
    """When the Halton sequence first visits each place of a grid x grid picture, double (N,)."""
    from scipy.stats import qmc  # here, since it takes half a second to load

    points, order = 4 * grid * grid, []
    while len(order) < grid * grid:  # in the sequence's order, each place once
        sequence = qmc.Halton(2, scramble=False).random(points)
        rows, columns = (sequence * grid).astype(int).T
        order = list(dict.fromkeys((rows * grid + columns).tolist()))
        points *= 2
    rank = torch.empty(grid * grid, dtype=torch.double)
    rank[torch.tensor(order)] = torch.arange(grid * grid, dtype=torch.double)
    return rank


class Moment(Confidence):
    """First which places are revealed, then their tokens.

    Hayakawa et al., "Demystifying MaskGIT Sampler and Beyond", arXiv 2510.04525. MaskGIT keeps a
    token drawn with probability p in proportion to p^(1/choice_temperature), so where it keeps few of many, those
    kept are as if drawn in proportion to p^b, b = 1 + 1/choice_temperature: at a lower temperature than asked
    for. Here that is said aloud: a place is chosen in proportion to the sum of its p^b (by
    Gumbel-top-k), and its token drawn from p^b. In the last step nothing is chosen and, as with
    MaskGIT, nothing sharpened.
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
    """b of `Moment`: MaskGIT's implicit temperature is 1 / b of the one that tokens have."""
    return 1 + 1 / choice_temperature if choice_temperature > 0 else math.inf


class EntropyBound(TokenDecoder):
    """At each step as many tokens as a bound on what they may owe each other allows.

    Ben-Hamu et al., "Accelerated Sampling from Masked Diffusion Models via Entropy Bounded
    Unmasking", arXiv 2505.24857: tokens are revealed by rising entropy for as long as the sum of
    their entropies less the largest, which bounds what they know of each other, is at most the
    bound, in nats at the temperature of sampling. A schedule does not matter. An image takes as
    many steps as it needs.
    """

    open_ended: ClassVar[bool] = True

    def budgets(self, initial: Tensor, gamma: Gamma, bound: int) -> Tensor:
        """The bound; each step decides at least one token."""
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
    """Tokens that were decided may be reconsidered, within the same number of steps.

    Wang et al., "Remasking Discrete Diffusion Models with Inference-Time Scaling" (ReMDM), arXiv
    2503.00307, capped and by confidence: at each step but the last a share of what was decided
    before is hidden again, those tokens first that were least likely when they were drawn, and as
    many more are revealed, so that the schedule holds.
    """

    SHARE: ClassVar[float] = 0.1  # of the decided tokens, at each step

    def still_hidden(self, choice: Choice, budget: Tensor) -> Tensor:
        decided = ~choice.hidden & choice.confidence.isfinite()
        again = torch.minimum((self.SHARE * decided.sum(dim=1)).ceil().long(), budget)
        doubt = (choice.confidence + choice.gumbel_noise).masked_fill(~decided, torch.inf)
        return least_confident(choice.score, budget - again) | least_confident(doubt, again)
