"""Drawing tools: colours, soft masks over grids, smooth noise."""

import math
from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np

Choice = TypeVar("Choice")
Point = tuple[float, float]


def rgb(red: float, green: float, blue: float) -> np.ndarray:
    """Returns a colour, float32 (3, 1, 1), that broadcasts over a picture (3, n, n)."""
    return np.array([red, green, blue], np.float32).reshape(3, 1, 1)


def inside(depth: np.ndarray, blur: float = 0.035) -> np.ndarray:
    """Returns a mask 0..1 of the region where ``depth`` is negative, with an edge ``blur`` wide."""
    t = np.clip(0.5 - depth * (1 / blur), 0, 1)
    return t * t * (3 - 2 * t)


def ellipse(x: np.ndarray, y: np.ndarray, a: float, b: float) -> np.ndarray:
    """Returns the approximate distance to an ellipse about the origin, half axes ``a``, ``b``."""
    return (cv2.magnitude(x * (1 / a), y * (1 / b)) - 1) * min(a, b)


def round_max(p: np.ndarray, q: np.ndarray, radius: float) -> np.ndarray:
    """Returns the distance to the intersection of two shapes, with the corner rounded."""
    return 0.5 * (p + q + np.sqrt((p - q) ** 2 + radius**2))


def round_min(p: np.ndarray, q: np.ndarray, radius: float) -> np.ndarray:
    """Returns the distance to the union of two shapes, with the notch filled."""
    return -round_max(-p, -q, radius)


def over(image: np.ndarray, mask: np.ndarray, colour: np.ndarray) -> None:
    """Paints ``colour`` (a colour or a picture) on ``image`` where ``mask`` is 1, in place."""
    image += mask * (colour - image)


def blend(mask: np.ndarray, colour: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns a picture that is ``colour`` where ``mask`` is 0 and ``other`` where it is 1."""
    return colour + mask * (other - colour)


def waves(p: np.ndarray, q: np.ndarray, frequency: float, rng: np.random.Generator) -> np.ndarray:
    """Returns a smooth random field over coordinates ``p``, ``q``, about -1..1."""
    field = np.zeros_like(p)
    start = rng.uniform(0, math.pi)
    for i in range(4):
        angle = start + i * math.pi / 4
        pace = frequency * rng.uniform(0.6, 1.4)
        phase = rng.uniform(0, 2 * math.pi)
        field += np.cos(pace * (math.cos(angle) * p + math.sin(angle) * q) + phase)
    return field * 0.4


def tint(colour: np.ndarray, rng: np.random.Generator, amount: float = 0.05) -> np.ndarray:
    """Returns ``colour``, randomly varied by about ``amount``."""
    shift = rng.uniform(-amount, amount) + rng.uniform(-0.4, 0.4, 3) * amount
    return np.clip(colour + rgb(*shift), 0, 1)


def pick(choices: Sequence[Choice], rng: np.random.Generator) -> Choice:
    """Returns a random one of ``choices``."""
    return choices[rng.integers(len(choices))]
