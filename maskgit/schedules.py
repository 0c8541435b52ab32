"""Mask schedules gamma(r): the share of tokens still hidden when a share r of the steps is done.

MaskGIT (arXiv 2202.04200), section 3.3 and appendix. Every schedule maps r in [0, 1] to [0, 1],
falls monotonically, and has gamma(0) = 1 and gamma(1) = 0. To add one, write the function and
give it a line in SCHEDULES; parameters, command line and tests take it from there.
"""

import math
from collections.abc import Callable

Gamma = Callable[[float], float]

# The published "log" and "exp" schedules depend on the number of tokens; ours is 16 x 16.
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
    return 1 - 2 ** (-TOKENS * (1 - r))


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
