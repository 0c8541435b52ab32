"""Mask schedules gamma(r): the share of tokens still hidden when a share r of the steps is done.

MaskGIT (arXiv 2202.04200), section 3.3 and appendix. Every schedule maps r in [0, 1] to [0, 1],
falls monotonically, and has gamma(0) = 1 and gamma(1) = 0. To add a schedule, write its function
and an entry in SCHEDULES; parameters, command line and tests take it from there. Only `entropic` is
not fixed in advance: it is computed from measurements on a trained transformer.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

Gamma = Callable[[float], float]

# The published "log" and "exp" schedules depend on the number of tokens, here 16 x 16.
TOKENS = 256


def linear(r: float) -> float:
    return 1 - r


def cosine(r: float) -> float:
    return max(0.0, math.cos(math.pi / 2 * r)) if r < 1 else 0.0


def square(r: float) -> float:
    return 1 - r**2


def cubic(r: float) -> float:
    return 1 - r**3


def sqrt(r: float) -> float:
    return 1 - math.sqrt(r)


def log(r: float) -> float:
    return min(1.0, -math.log2(r) / math.log2(TOKENS)) if r > 0 else 1.0


def exp(r: float) -> float:
    return 1 - TOKENS ** (r - 1) if r > 0 else 1.0


def arccos(r: float) -> float:
    return math.acos(r) / (math.pi / 2)


SCHEDULES: dict[str, Gamma] = {
    "cosine": cosine,
    "linear": linear,
    "square": square,
    "cubic": cubic,
    "sqrt": sqrt,
    "log": log,
    "exp": exp,
    "arccos": arccos,
}

ENTROPIC = "entropic"
NAMES = (*SCHEDULES, ENTROPIC)  # of all schedules that decoding may use


def entropic(nats: Sequence[float]) -> Gamma:
    """Returns the schedule that removes an equal share of the uncertainty at each step.

    Foresti et al., "Improved Sampling Schedules for Discrete Diffusion Models", arXiv 2602.06849,
    the entropic discrete schedule. The uncertainty at a hidden share g is the integral from 0 to g
    of the cross-entropy of a hidden token; gamma(r) is the g at which the share 1 - r of it is
    left.

    nats: positive (n,), the mean cross-entropy of a hidden token when 1/n, 2/n, ... 1 of a hole is
    hidden (see `maskgit.transformer.uncertainty`); interpolated linearly, constant below 1/n.
    """
    shares = np.linspace(0, 1, 1025)
    costs = np.interp(shares, np.linspace(0, 1, len(nats) + 1), [nats[0], *nats])
    left = np.concatenate([[0.0], np.cumsum((costs[:-1] + costs[1:]) / 2)])
    left /= left[-1]
    return lambda r: float(np.interp(1 - r, left, shares))


def make_gamma(name: str, uncertainty: Sequence[float] = ()) -> Gamma:
    """Returns the mask schedule of that name.

    uncertainty: argument `nats` of `entropic`; other schedules do not need it. Raises ValueError,
    which lists the schedules, where there is none of that name.
    """
    names = NAMES if len(uncertainty) else tuple(SCHEDULES)
    if name not in names:
        raise ValueError(f"gamma should be one of {', '.join(names)}, but it is {name!r}")
    return SCHEDULES[name] if name in SCHEDULES else entropic(uncertainty)
