"""Coats of drawn cats, each a function that returns the colour of the fur, (3, n, n) float32.

To add a coat, write a ``paint_*`` function and add a line to ``COATS``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from maskgit.data.cats.paint import blend, ellipse, inside, pick, rgb, tint, waves
from maskgit.data.cats.pose import Face


@dataclass(frozen=True)
class Fur:
    """Three shades of one fur colour."""

    dark: np.ndarray
    base: np.ndarray
    pale: np.ndarray


ORANGE = Fur(rgb(0.74, 0.36, 0.11), rgb(0.93, 0.60, 0.28), rgb(1.00, 0.87, 0.68))
BROWN = Fur(rgb(0.20, 0.14, 0.10), rgb(0.56, 0.44, 0.31), rgb(0.86, 0.77, 0.63))
SILVER = Fur(rgb(0.20, 0.20, 0.22), rgb(0.68, 0.68, 0.70), rgb(0.94, 0.94, 0.93))
GREY = Fur(rgb(0.30, 0.33, 0.39), rgb(0.50, 0.54, 0.60), rgb(0.75, 0.78, 0.81))
CREAM = Fur(rgb(0.80, 0.62, 0.42), rgb(0.94, 0.83, 0.66), rgb(1.00, 0.95, 0.87))
BLACK = Fur(rgb(0.07, 0.07, 0.08), rgb(0.16, 0.15, 0.16), rgb(0.32, 0.31, 0.32))
WHITE = Fur(rgb(0.86, 0.84, 0.81), rgb(0.95, 0.94, 0.92), rgb(1.00, 1.00, 0.99))
CHOCOLATE = Fur(rgb(0.25, 0.15, 0.10), rgb(0.45, 0.30, 0.21), rgb(0.70, 0.55, 0.44))
GREEN_EYES = (rgb(0.50, 0.74, 0.30), rgb(0.36, 0.68, 0.45), rgb(0.70, 0.76, 0.28))
AMBER_EYES = (rgb(0.95, 0.66, 0.13), rgb(0.90, 0.48, 0.10), rgb(0.93, 0.79, 0.25))
BLUE_EYES = (rgb(0.36, 0.66, 0.93), rgb(0.52, 0.80, 0.95), rgb(0.28, 0.52, 0.86))
ALL_EYES = GREEN_EYES + AMBER_EYES + BLUE_EYES
PINK = rgb(0.93, 0.60, 0.60)
BRICK = rgb(0.70, 0.38, 0.33)
SOOT = rgb(0.16, 0.12, 0.13)


@dataclass(frozen=True)
class Coat:
    """A coat: how it is painted, its share of all cats, and its colours of eyes and noses."""

    paint: Callable[[Face, np.random.Generator], np.ndarray]
    share: float
    eyes: tuple[np.ndarray, ...] = ALL_EYES
    noses: tuple[np.ndarray, ...] = (PINK, BRICK)


def tint_fur(fur: Fur, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns dark, base and pale shade of ``fur``, varied for one cat."""
    return tint(fur.dark, rng), tint(fur.base, rng), tint(fur.pale, rng, 0.03)


def paint_solid(face: Face, rng: np.random.Generator) -> np.ndarray:
    """Paints one colour, paler round the muzzle and darker on the crown."""
    dark, base, pale = tint_fur(pick((ORANGE, GREY, BLACK, WHITE, CREAM, CHOCOLATE), rng), rng)
    fur = blend(0.45 * inside(face.r - 0.35, 0.7), base, pale)
    return blend(0.5 * inside(face.v + 0.55, 0.5), fur, dark)


def paint_tabby(face: Face, rng: np.random.Generator) -> np.ndarray:
    """Paints stripes that fan out from the nose: an M on the forehead, bars across the cheeks."""
    dark, base, pale = tint_fur(pick((ORANGE, BROWN, SILVER, GREY, CREAM), rng), rng)
    fur = paint_pale_mask(face, base, pale)
    swirl = rng.uniform(-2, 2) * face.r + rng.uniform(0.2, 0.7) * waves(face.s, face.v, 6, rng)
    wave = np.cos(rng.uniform(9, 15) * face.theta + swirl)
    breaks = rng.uniform(0, 0.5) * np.cos(rng.uniform(6, 10) * face.r + swirl)
    stripes = inside(rng.uniform(-0.1, 0.4) + breaks - wave, 1.1)
    start = inside(rng.uniform(0.36, 0.46) - face.r, 0.15)
    chin = inside(2.3 - face.theta, 0.5) * inside(face.r - 0.6, 0.2)
    return blend(rng.uniform(0.65, 0.95) * stripes * start * (1 - chin), fur, dark)


def paint_spotted(face: Face, rng: np.random.Generator) -> np.ndarray:
    """Paints spots in rings about the nose, and an eyeliner bar on each cheek."""
    dark, base, pale = tint_fur(pick((BROWN, SILVER, ORANGE), rng), rng)
    fur = paint_pale_mask(face, base, pale)
    rings = np.cos(rng.uniform(17, 22) * face.r + rng.uniform(0, 6))
    spokes = np.cos(rng.uniform(11, 15) * face.theta)
    spots = inside(rng.uniform(0.35, 0.55) - rings * spokes, 0.5) * inside(0.42 - face.r, 0.1)
    bar = inside(np.abs(face.v - 0.02 - 0.35 * (face.s - 0.5)) - 0.03) * inside(0.5 - face.s)
    return blend(0.85 * np.maximum(spots, bar), fur, dark)


def paint_tuxedo(face: Face, rng: np.random.Generator) -> np.ndarray:
    """Paints a dark cap over white, with a blaze that widens from the forehead to the chest."""
    dark, base, _ = tint_fur(pick((BLACK, BLACK, GREY, ORANGE, CHOCOLATE), rng), rng)
    white = tint(WHITE.base, rng, 0.03)
    cap = blend(inside(face.v + 0.3, 0.8), base, dark)
    top, width, flare = rng.uniform(-0.45, 0.2), rng.uniform(0.0, 0.07), rng.uniform(0.5, 1.0)
    drop = np.clip(face.v - top, 0, None)
    edge = width + flare * drop**2 + 0.02 * waves(face.s, face.v, 7, rng)
    return blend(inside(face.s - edge, 0.07) * inside(top - face.v, 0.08), cap, white)


def paint_calico(face: Face, rng: np.random.Generator) -> np.ndarray:
    """Paints orange and black patches over white, roughly mirrored."""
    white = tint(WHITE.base, rng, 0.03)
    ginger = blend(0.5 + 0.4 * np.cos(14 * face.theta), tint(ORANGE.base, rng), ORANGE.dark)
    dark = tint(pick((BLACK, GREY), rng).base, rng)
    shift = rng.uniform(0.3, 0.8) * waves(face.u, face.v, 3.2, rng)
    where_dark = waves(face.s, face.v, 4.0, rng) + shift
    where_white = waves(face.s, face.v, 3.0, rng) * 0.5 + 2.2 * (face.v - rng.uniform(0.05, 0.3))
    where_white += 1.2 * inside(face.s - 0.12, 0.2)
    coloured = blend(inside(-where_dark, 0.25), ginger, dark)
    return blend(inside(-where_white, 0.25), coloured, white)


def paint_tortoiseshell(face: Face, rng: np.random.Generator) -> np.ndarray:
    """Paints black and orange brindle; half of the faces are split down the middle."""
    black, ginger = tint(BLACK.base, rng), tint(ORANGE.base, rng)
    field = waves(face.u, face.v, 6.0, rng)
    if rng.random() < 0.5:
        field = 0.5 * field + pick((-4.0, 4.0), rng) * np.clip(face.u, -0.2, 0.2)
    return blend(inside(field + 0.5 * face.fur, 0.5), black, ginger)


def paint_points(face: Face, rng: np.random.Generator) -> np.ndarray:
    """Paints a Siamese: pale, with dark ears and a dark mask."""
    _, base, _ = tint_fur(pick((CREAM, CREAM, WHITE), rng), rng)
    points = tint(pick((CHOCOLATE, BLACK, GREY, BROWN), rng).base, rng)
    reach = rng.uniform(0.22, 0.5)
    mask = inside(cv2.magnitude(face.s * 0.95, face.v - 0.28) - reach, 0.4)
    ears = inside(face.v + 0.40 + 0.4 * face.s, 0.3) * inside(0.26 - face.s, 0.25)
    return blend(0.95 * np.maximum(mask, ears), base, points)


def paint_shaded(face: Face, rng: np.random.Generator) -> np.ndarray:
    """Paints fur that is pale at the nose and darkens towards the edge of the face."""
    dark, base, pale = tint_fur(pick((GREY, SILVER, ORANGE, BROWN, CREAM), rng), rng)
    fur = blend(inside(face.r - 0.5, 0.8), base, pale)
    return blend(0.75 * inside(rng.uniform(0.75, 0.95) - face.r, 0.6), fur, dark)


def paint_pale_mask(face: Face, base: np.ndarray, pale: np.ndarray) -> np.ndarray:
    """Paints the base colour with the pale muzzle, chin and eye rings of a tabby."""
    muzzle = inside(ellipse(face.s, face.v - 0.5, 0.34, 0.26), 0.2)
    rings = inside(ellipse(face.s - 0.36, face.v + 0.03, 0.30, 0.26), 0.12)
    return blend(0.85 * np.maximum(muzzle, 0.7 * rings), base, pale)


COATS = {
    "tabby": Coat(paint_tabby, 0.28, GREEN_EYES + AMBER_EYES),
    "solid": Coat(paint_solid, 0.16, noses=(PINK, BRICK, SOOT)),
    "tuxedo": Coat(paint_tuxedo, 0.16, noses=(PINK, SOOT)),
    "calico": Coat(paint_calico, 0.10, GREEN_EYES + AMBER_EYES),
    "points": Coat(paint_points, 0.10, BLUE_EYES, (SOOT, BRICK)),
    "tortoiseshell": Coat(paint_tortoiseshell, 0.06, GREEN_EYES + AMBER_EYES, (PINK, SOOT)),
    "spotted": Coat(paint_spotted, 0.07, GREEN_EYES + AMBER_EYES),
    "shaded": Coat(paint_shaded, 0.07),
}


def choose_coat(rng: np.random.Generator) -> Coat:
    """Returns a random coat of ``COATS``, by share."""
    coats = list(COATS.values())
    shares = np.array([coat.share for coat in coats])
    return coats[rng.choice(len(coats), p=shares / shares.sum())]
