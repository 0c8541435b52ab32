"""Backgrounds of drawn cats, each a function that returns a picture (3, n, n) float32.

To add a background, write a ``back_*`` function and list it in ``BACKGROUNDS``.
"""

import math

import cv2
import numpy as np

from maskgit.data.cats.paint import blend, inside, over, pick, rgb, tint, waves
from maskgit.data.cats.pose import Face


def back_gradient(
    face: Face, near: np.ndarray, far: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draws a smooth gradient from one colour to another."""
    angle = rng.uniform(0, 2 * math.pi)
    return blend(inside(face.x * math.cos(angle) + face.y * math.sin(angle), 2.6), near, far)


def back_bokeh(
    face: Face, near: np.ndarray, far: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draws blurred discs of light."""
    picture = back_gradient(face, near * 0.6, far * 0.7, rng)
    for _ in range(7):
        cx, cy = rng.uniform(-1.1, 1.1), rng.uniform(-1.1, 1.1)
        disc = inside(cv2.magnitude(face.x - cx, face.y - cy) - rng.uniform(0.12, 0.35), 0.12)
        over(picture, rng.uniform(0.3, 0.7) * disc, tint(near, rng, 0.3))
    return picture


def back_stripes(
    face: Face, near: np.ndarray, far: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draws wallpaper stripes at a random angle."""
    angle, pace = rng.uniform(0, math.pi), rng.uniform(6, 14)
    wave = np.cos(pace * (face.x * math.cos(angle) + face.y * math.sin(angle)) + rng.uniform(0, 6))
    return blend(inside(wave, 0.8), near, far)


def back_plaid(
    face: Face, near: np.ndarray, far: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draws a woven blanket."""
    pace = rng.uniform(7, 13)
    across = inside(np.cos(pace * face.x + rng.uniform(0, 6)), 0.6)
    down = inside(np.cos(pace * face.y + rng.uniform(0, 6)), 0.6)
    return blend(0.5 * across + 0.5 * down, near, far)


def back_grass(
    face: Face, near: np.ndarray, far: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draws a meadow with leaning blades below and bright haze above."""
    lean = face.x + rng.uniform(-0.4, 0.4) * face.y
    blades = waves(lean * 40, face.y * 4, 1.0, rng) * inside(0.1 - face.y, 1.2)
    green = tint(rgb(0.38, 0.56, 0.22), rng, 0.1)
    haze = blend(inside(face.y + 0.2, 1.6), green, tint(rgb(0.80, 0.88, 0.70), rng, 0.1))
    return np.clip(haze * (1 + 0.35 * blades), 0, 1)


def back_room(
    face: Face, near: np.ndarray, far: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draws a wall over a floor or sofa, with a bright window on one side."""
    edge = face.y - rng.uniform(-0.3, 0.5) - rng.uniform(-0.1, 0.1) * face.x
    picture = blend(inside(edge, 0.06), near * 0.75, far)
    window = np.maximum(np.abs(face.x - pick((-0.8, 0.8), rng)) - 0.4, face.y + 0.1)
    over(picture, 0.8 * inside(window, 0.12), rgb(0.96, 0.97, 0.95))
    return picture


BACKGROUNDS = (back_gradient, back_bokeh, back_stripes, back_plaid, back_grass, back_room)


def draw_background(face: Face, rng: np.random.Generator) -> np.ndarray:
    """Draws a random background, (3, n, n) float32, darker towards the corners."""
    hue = rng.uniform(0, 2 * math.pi)
    near = random_colour(hue, rng)
    far = random_colour(hue + rng.normal(0, 0.9), rng)
    picture = pick(BACKGROUNDS, rng)(face, near, far, rng)
    corner = rng.uniform(0, 0.18) * (face.x**2 + face.y**2)
    return picture * (1 - corner)


def random_colour(hue: float, rng: np.random.Generator) -> np.ndarray:
    """Returns a colour of the given hue (radians), of random lightness and modest saturation."""
    wheel = np.cos(hue + rgb(0, 2, 4) * math.pi / 3)
    return np.clip(rng.uniform(0.3, 0.85) + rng.uniform(0.04, 0.22) * wheel, 0, 1)
