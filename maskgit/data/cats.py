"""Parametric cat faces: the built-in data set, drawn on demand from a seed.

Every shape is a soft mask over coordinate grids, about a pixel soft at 64 pixels, so edges come out
smooth without supersampling and a cat is the same cat at any size. Two coordinate systems are used:

- frame: ``x`` to the right and ``y`` down, both -1..1 over the picture;
- face: ``u`` and ``v``, the frame turned, scaled and shifted with the head. The face is mirror
  symmetric about ``u = 0``, so most parts are drawn once with ``s = |u|``.

Colours are float RGB in 0..1 until the last step. To add a coat, write a ``paint_*`` function and
add one line to ``COATS``; a background is a ``back_*`` function listed in ``BACKGROUNDS``.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np

Choice = TypeVar("Choice")
Point = tuple[float, float]


def rgb(red: float, green: float, blue: float) -> np.ndarray:
    """A colour that broadcasts over a picture (3, n, n): float32 (3, 1, 1)."""
    return np.array([red, green, blue], np.float32).reshape(3, 1, 1)


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
class Face:
    """Grids of one posed head, each (n, n) float32; distances are negative inside."""

    x: np.ndarray
    y: np.ndarray
    u: np.ndarray
    v: np.ndarray
    s: np.ndarray
    theta: np.ndarray  # angle about the bridge of the nose: 0 is up, pi is down
    r: np.ndarray  # distance from the bridge of the nose
    fur: np.ndarray  # fine strands that run away from the nose, about -1..1
    head: np.ndarray
    ears: np.ndarray
    body: np.ndarray


@dataclass(frozen=True)
class Light:
    """Where the key light comes from, its colour and the colour of the shadows."""

    direction: tuple[float, float, float]
    key: np.ndarray
    ambient: np.ndarray


@dataclass(frozen=True)
class Coat:
    """A coat: how to paint it, how often it is met, and the eyes and noses that go with it."""

    paint: Callable[[Face, np.random.Generator], np.ndarray]
    share: float
    eyes: tuple[np.ndarray, ...] = ALL_EYES
    noses: tuple[np.ndarray, ...] = (PINK, BRICK)


def draw_cats(count: int, seed: int, size: int = 64) -> np.ndarray:
    """Draw ``count`` cat faces as uint8 RGB (count, size, size, 3).

    Image ``i`` depends on ``seed`` and ``i`` alone, so a longer set begins with the shorter one.
    """
    images = np.empty((count, size, size, 3), np.uint8)
    for i in range(count):
        images[i] = draw_cat(np.random.default_rng([seed, i]), size)
    return images


def draw_cat(rng: np.random.Generator, size: int = 64) -> np.ndarray:
    """Draw one cat face as uint8 RGB (size, size, 3)."""
    # Below 64 pixels the masks are too sharp: draw larger, then average.
    shrink = math.ceil(64 / size)
    face = pose_face(rng, size * shrink)
    light = choose_light(rng)
    coat = choose_coat(rng)
    fur = coat.paint(face, rng) * (1 + 0.09 * face.fur)

    image = draw_background(face, rng)
    draw_body(image, face, fur, light)
    draw_ears(image, face, fur, light, rng)
    draw_head(image, face, fur, light)
    draw_muzzle(image, face, rng)
    draw_eyes(image, face, coat, light, rng)
    draw_nose_and_mouth(image, face, coat, rng)
    draw_whiskers(image, face, rng)
    image = image.reshape(3, size, shrink, size, shrink).mean((2, 4))
    return develop(image, light, rng)


# --- masks, colours and noise ---------------------------------------------------------------


def inside(depth: np.ndarray, blur: float = 0.035) -> np.ndarray:
    """Mask 0..1 of the region where ``depth`` is negative, with an edge ``blur`` wide."""
    t = np.clip(0.5 - depth * (1 / blur), 0, 1)
    return t * t * (3 - 2 * t)


def ellipse(x: np.ndarray, y: np.ndarray, a: float, b: float) -> np.ndarray:
    """Distance (approximate) to an ellipse about the origin with half axes ``a`` and ``b``."""
    return (cv2.magnitude(x * (1 / a), y * (1 / b)) - 1) * min(a, b)


def round_max(p: np.ndarray, q: np.ndarray, radius: float) -> np.ndarray:
    """Intersection of two distances with the corner rounded."""
    return 0.5 * (p + q + np.sqrt((p - q) ** 2 + radius**2))


def round_min(p: np.ndarray, q: np.ndarray, radius: float) -> np.ndarray:
    """Union of two distances with the notch filled."""
    return -round_max(-p, -q, radius)


def over(image: np.ndarray, mask: np.ndarray, colour: np.ndarray) -> None:
    """Paint ``colour`` (one colour or a picture) on ``image`` in place where ``mask`` is 1."""
    image += mask * (colour - image)


def blend(mask: np.ndarray, colour: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Picture that is ``colour`` where ``mask`` is 0 and ``other`` where it is 1."""
    return colour + mask * (other - colour)


def waves(p: np.ndarray, q: np.ndarray, frequency: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth random field over coordinates ``p``, ``q``, about -1..1."""
    field = np.zeros_like(p)
    start = rng.uniform(0, math.pi)
    for i in range(4):
        angle = start + i * math.pi / 4
        pace = frequency * rng.uniform(0.6, 1.4)
        phase = rng.uniform(0, 2 * math.pi)
        field += np.cos(pace * (math.cos(angle) * p + math.sin(angle) * q) + phase)
    return field * 0.4


def tint(colour: np.ndarray, rng: np.random.Generator, amount: float = 0.05) -> np.ndarray:
    """``colour`` varied a little."""
    shift = rng.uniform(-amount, amount) + rng.uniform(-0.4, 0.4, 3) * amount
    return np.clip(colour + rgb(*shift), 0, 1)


def tint_fur(fur: Fur, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Dark, base and pale shade of ``fur`` for one cat."""
    return tint(fur.dark, rng), tint(fur.base, rng), tint(fur.pale, rng, 0.03)


def pick(choices: Sequence[Choice], rng: np.random.Generator) -> Choice:
    """One of ``choices``."""
    return choices[rng.integers(len(choices))]


# --- pose, light ----------------------------------------------------------------------------


def pose_face(rng: np.random.Generator, n: int) -> Face:
    """Choose a pose and a head shape, and lay out the grids for an ``n`` x ``n`` picture."""
    axis = (np.arange(n, dtype=np.float32) + 0.5) * (2 / n) - 1
    x, y = np.meshgrid(axis, axis)
    roll = rng.triangular(-0.28, 0, 0.28)
    scale = rng.uniform(0.98, 1.22)
    dx, dy = x - rng.uniform(-0.08, 0.08), y - rng.uniform(-0.06, 0.10)
    u = (math.cos(roll) * dx + math.sin(roll) * dy) / scale
    v = (math.cos(roll) * dy - math.sin(roll) * dx) / scale
    # Yaw and pitch slide the features and leave the outline of the head where it is.
    yaw, pitch = rng.triangular(-0.18, 0, 0.18), rng.triangular(-0.07, 0, 0.07)
    u = u - yaw * np.clip(1 - u * u, 0, None)
    v = v - pitch * np.clip(1 - v * v, 0, None)
    s = np.abs(u)
    r, theta = cv2.cartToPolar(0.2 - v, s)
    fur = draw_strands(theta, r, rng)
    head = head_distance(s, v, theta, fur, rng)
    ears = ear_distance(s, v, rng) - 0.008 * fur
    body = ellipse(u, v - 1.35, rng.uniform(0.72, 0.95), 0.9) - 0.015 * fur
    return Face(x, y, u, v, s, theta, r, fur, head, ears, body)


def draw_strands(theta: np.ndarray, r: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fine fur: noise that is long along the radius and short across it."""
    noise = rng.standard_normal((10, 44)).astype(np.float32)
    columns, rows = theta * (43 / math.pi), r * 6
    return 0.6 * cv2.remap(noise, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def head_distance(
    s: np.ndarray, v: np.ndarray, theta: np.ndarray, fur: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Distance to the outline of the head: a skull, cheeks and a chin."""
    skull = ellipse(s, v + 0.02, rng.uniform(0.64, 0.72), rng.uniform(0.54, 0.60))
    cheeks = ellipse(s, v - 0.24, rng.uniform(0.68, 0.82), rng.uniform(0.36, 0.42))
    chin = ellipse(s, v - 0.48, 0.34, rng.uniform(0.24, 0.29))
    head = round_min(round_min(skull, cheeks, 0.12), chin, 0.12)
    # Tufts stick out of the cheeks only.
    tufts = rng.uniform(0, 0.045) * np.abs(np.sin(rng.uniform(9, 13) * theta))
    return head - tufts * inside(np.abs(theta - 1.75) - 0.4, 0.4) - 0.012 * fur


def ear_distance(s: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Distance to the ears: two curved edges that meet in a rounded tip."""
    tip_s, tip_v = rng.uniform(0.48, 0.78), rng.uniform(-1.04, -0.76)
    roundness = rng.uniform(0.03, 0.16)
    bulge = rng.uniform(0.05, 0.22)
    inner = edge_distance(s, v, (0.10, -0.45), (tip_s, tip_v), bulge)
    outer = edge_distance(s, v, (tip_s, tip_v), (rng.uniform(0.70, 0.78), 0.02), bulge)
    below = v - 0.1
    return np.maximum(round_max(inner, outer, roundness), below)


def edge_distance(
    s: np.ndarray, v: np.ndarray, start: Point, end: Point, bulge: float
) -> np.ndarray:
    """Distance to the right-hand side of a line that bows outwards between its two ends."""
    along_s, along_v = end[0] - start[0], end[1] - start[1]
    length = math.hypot(along_s, along_v)
    along_s, along_v = along_s / length, along_v / length
    t = ((s - start[0]) * along_s + (v - start[1]) * along_v) / length
    across = (s - start[0]) * along_v - (v - start[1]) * along_s
    return across - bulge * length * t * (1 - t)


def choose_light(rng: np.random.Generator) -> Light:
    """Light from above, somewhat to one side, warm with cool shadows or the other way round."""
    side, height = rng.uniform(-0.75, 0.75), rng.uniform(-0.75, -0.25)
    warmth = rng.uniform(-1, 1) * rgb(0.07, 0.0, -0.08)
    strength = rng.uniform(0.45, 0.75)
    key = strength * (1 + warmth)
    ambient = (1.12 - strength) * (1 - 0.5 * warmth)
    length = math.hypot(side, height, 1)
    return Light((side / length, height / length, 1 / length), key, ambient)


def shade(face: Face, light: Light, centre_v: float, a: float, b: float) -> np.ndarray:
    """Light on an ellipsoid about (0, centre_v) with half axes ``a``, ``b``, as RGB factors."""
    nx, ny = face.u / a, (face.v - centre_v) / b
    squared = np.minimum(nx * nx + ny * ny, 4.0)
    nz = np.sqrt(np.maximum(1 - squared, 0.03))
    lx, ly, lz = light.direction
    facing = (nx * lx + ny * ly + nz * lz) / np.sqrt(np.maximum(squared, 1))
    return light.ambient + np.clip(facing, 0, 1) * light.key * 1.15


# --- coats: each returns the colour of the fur as (3, n, n) float32 ---------------------------


def paint_solid(face: Face, rng: np.random.Generator) -> np.ndarray:
    """One colour, paler round the muzzle and darker on the crown."""
    dark, base, pale = tint_fur(pick((ORANGE, GREY, BLACK, WHITE, CREAM, CHOCOLATE), rng), rng)
    fur = blend(0.45 * inside(face.r - 0.35, 0.7), base, pale)
    return blend(0.5 * inside(face.v + 0.55, 0.5), fur, dark)


def paint_tabby(face: Face, rng: np.random.Generator) -> np.ndarray:
    """Stripes that fan out from the nose: an M on the forehead, bars across the cheeks."""
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
    """Spots in rings about the nose, and an eyeliner bar on each cheek."""
    dark, base, pale = tint_fur(pick((BROWN, SILVER, ORANGE), rng), rng)
    fur = paint_pale_mask(face, base, pale)
    rings = np.cos(rng.uniform(17, 22) * face.r + rng.uniform(0, 6))
    spokes = np.cos(rng.uniform(11, 15) * face.theta)
    spots = inside(rng.uniform(0.35, 0.55) - rings * spokes, 0.5) * inside(0.42 - face.r, 0.1)
    bar = inside(np.abs(face.v - 0.02 - 0.35 * (face.s - 0.5)) - 0.03) * inside(0.5 - face.s)
    return blend(0.85 * np.maximum(spots, bar), fur, dark)


def paint_tuxedo(face: Face, rng: np.random.Generator) -> np.ndarray:
    """A dark cap over white: the blaze opens from the forehead to muzzle and chest."""
    dark, base, _ = tint_fur(pick((BLACK, BLACK, GREY, ORANGE, CHOCOLATE), rng), rng)
    white = tint(WHITE.base, rng, 0.03)
    cap = blend(inside(face.v + 0.3, 0.8), base, dark)
    top, width, flare = rng.uniform(-0.45, 0.2), rng.uniform(0.0, 0.07), rng.uniform(0.5, 1.0)
    drop = np.clip(face.v - top, 0, None)
    edge = width + flare * drop**2 + 0.02 * waves(face.s, face.v, 7, rng)
    return blend(inside(face.s - edge, 0.07) * inside(top - face.v, 0.08), cap, white)


def paint_calico(face: Face, rng: np.random.Generator) -> np.ndarray:
    """Orange and black patches over white, roughly mirrored."""
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
    """Black and orange brindle; half of them have a face split down the middle."""
    black, ginger = tint(BLACK.base, rng), tint(ORANGE.base, rng)
    field = waves(face.u, face.v, 6.0, rng)
    if rng.random() < 0.5:
        field = 0.5 * field + pick((-4.0, 4.0), rng) * np.clip(face.u, -0.2, 0.2)
    return blend(inside(field + 0.5 * face.fur, 0.5), black, ginger)


def paint_points(face: Face, rng: np.random.Generator) -> np.ndarray:
    """Siamese: a pale cat with dark ears and a dark mask."""
    _, base, _ = tint_fur(pick((CREAM, CREAM, WHITE), rng), rng)
    points = tint(pick((CHOCOLATE, BLACK, GREY, BROWN), rng).base, rng)
    reach = rng.uniform(0.22, 0.5)
    mask = inside(cv2.magnitude(face.s * 0.95, face.v - 0.28) - reach, 0.4)
    ears = inside(face.v + 0.40 + 0.4 * face.s, 0.3) * inside(0.26 - face.s, 0.25)
    return blend(0.95 * np.maximum(mask, ears), base, points)


def paint_shaded(face: Face, rng: np.random.Generator) -> np.ndarray:
    """Pale at the nose, darker and darker towards the edge of the face."""
    dark, base, pale = tint_fur(pick((GREY, SILVER, ORANGE, BROWN, CREAM), rng), rng)
    fur = blend(inside(face.r - 0.5, 0.8), base, pale)
    return blend(0.75 * inside(rng.uniform(0.75, 0.95) - face.r, 0.6), fur, dark)


def paint_pale_mask(face: Face, base: np.ndarray, pale: np.ndarray) -> np.ndarray:
    """Base colour with the pale muzzle, chin and eye rings of a tabby."""
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
    """One of ``COATS``, by share."""
    coats = list(COATS.values())
    shares = np.array([coat.share for coat in coats])
    return coats[rng.choice(len(coats), p=shares / shares.sum())]


# --- backgrounds: each returns a picture (3, n, n) float32 ------------------------------------


def back_gradient(
    face: Face, near: np.ndarray, far: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """A smooth sweep from one colour to another."""
    angle = rng.uniform(0, 2 * math.pi)
    return blend(inside(face.x * math.cos(angle) + face.y * math.sin(angle), 2.6), near, far)


def back_bokeh(
    face: Face, near: np.ndarray, far: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Blurry discs of light."""
    picture = back_gradient(face, near * 0.6, far * 0.7, rng)
    for _ in range(7):
        cx, cy = rng.uniform(-1.1, 1.1), rng.uniform(-1.1, 1.1)
        disc = inside(cv2.magnitude(face.x - cx, face.y - cy) - rng.uniform(0.12, 0.35), 0.12)
        over(picture, rng.uniform(0.3, 0.7) * disc, tint(near, rng, 0.3))
    return picture


def back_stripes(
    face: Face, near: np.ndarray, far: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Wallpaper stripes at some angle."""
    angle, pace = rng.uniform(0, math.pi), rng.uniform(6, 14)
    wave = np.cos(pace * (face.x * math.cos(angle) + face.y * math.sin(angle)) + rng.uniform(0, 6))
    return blend(inside(wave, 0.8), near, far)


def back_plaid(
    face: Face, near: np.ndarray, far: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """A woven blanket."""
    pace = rng.uniform(7, 13)
    across = inside(np.cos(pace * face.x + rng.uniform(0, 6)), 0.6)
    down = inside(np.cos(pace * face.y + rng.uniform(0, 6)), 0.6)
    return blend(0.5 * across + 0.5 * down, near, far)


def back_grass(
    face: Face, near: np.ndarray, far: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """A meadow: leaning blades below, bright haze above."""
    lean = face.x + rng.uniform(-0.4, 0.4) * face.y
    blades = waves(lean * 40, face.y * 4, 1.0, rng) * inside(0.1 - face.y, 1.2)
    green = tint(rgb(0.38, 0.56, 0.22), rng, 0.1)
    haze = blend(inside(face.y + 0.2, 1.6), green, tint(rgb(0.80, 0.88, 0.70), rng, 0.1))
    return np.clip(haze * (1 + 0.35 * blades), 0, 1)


def back_room(
    face: Face, near: np.ndarray, far: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """A wall over a floor or sofa, with a bright window on one side."""
    edge = face.y - rng.uniform(-0.3, 0.5) - rng.uniform(-0.1, 0.1) * face.x
    picture = blend(inside(edge, 0.06), near * 0.75, far)
    window = np.maximum(np.abs(face.x - pick((-0.8, 0.8), rng)) - 0.4, face.y + 0.1)
    over(picture, 0.8 * inside(window, 0.12), rgb(0.96, 0.97, 0.95))
    return picture


BACKGROUNDS = (back_gradient, back_bokeh, back_stripes, back_plaid, back_grass, back_room)


def draw_background(face: Face, rng: np.random.Generator) -> np.ndarray:
    """A picture (3, n, n) float32 of what is behind the cat, darker towards the corners."""
    hue = rng.uniform(0, 2 * math.pi)
    near = random_colour(hue, rng)
    far = random_colour(hue + rng.normal(0, 0.9), rng)
    picture = pick(BACKGROUNDS, rng)(face, near, far, rng)
    corner = rng.uniform(0, 0.18) * (face.x**2 + face.y**2)
    return picture * (1 - corner)


def random_colour(hue: float, rng: np.random.Generator) -> np.ndarray:
    """A colour of the given hue (radians) with random lightness and a modest saturation."""
    wheel = np.cos(hue + rgb(0, 2, 4) * math.pi / 3)
    return np.clip(rng.uniform(0.3, 0.85) + rng.uniform(0.04, 0.22) * wheel, 0, 1)


# --- parts of the cat: each paints on the picture in place ------------------------------------


def draw_body(image: np.ndarray, face: Face, fur: np.ndarray, light: Light) -> None:
    """Neck and shoulders, in the shadow of the head."""
    shadow = 1 - 0.5 * inside(face.head - 0.1, 0.5)
    lit = fur * shade(face, light, 1.35, 1.0, 1.1) * shadow
    over(image, inside(face.body), lit)


def draw_ears(
    image: np.ndarray, face: Face, fur: np.ndarray, light: Light, rng: np.random.Generator
) -> None:
    """Ears with a pink inside and a tuft of pale hair at the inner edge."""
    lit = fur * (light.ambient + 0.75 * light.key)
    over(image, inside(face.ears), lit)
    hollow = inside(face.ears + rng.uniform(0.08, 0.11), 0.06)
    deep = inside(-0.75 - face.v, 0.8)
    pink = blend(0.55 * deep, tint(rgb(0.93, 0.68, 0.64), rng), rgb(0.55, 0.30, 0.28))
    over(image, 0.9 * hollow, pink * (light.ambient + 0.7 * light.key))
    strands = np.clip(0.6 + 0.8 * face.fur, 0, 1) * inside(face.s - 0.45, 0.25)
    over(image, 0.75 * hollow * strands, np.clip(lit + 0.18, 0, 1))


def draw_head(image: np.ndarray, face: Face, fur: np.ndarray, light: Light) -> None:
    """The head, round under the light, with hollows at the eyes and beside the nose."""
    lit = fur * shade(face, light, 0.1, 0.98, 0.86)
    sockets = 0.22 * inside(ellipse(face.s - 0.34, face.v + 0.02, 0.24, 0.2), 0.3)
    bridge = 0.10 * inside(np.abs(face.s - 0.15) - 0.02, 0.16) * inside(face.v - 0.3, 0.3)
    rim = 0.25 * inside(-0.05 - face.head, 0.16)
    lit *= 1 - np.maximum(sockets, bridge) - rim
    over(image, inside(face.head), lit)


def draw_muzzle(image: np.ndarray, face: Face, rng: np.random.Generator) -> None:
    """Two whisker pads and a chin, lit from above, with a few dark whisker roots."""
    pads = ellipse(face.s - 0.13, face.v - 0.46, 0.19, 0.14)
    bump = inside(pads, 0.16)
    lift = 0.10 * bump * np.clip(1.2 - 2 * (face.v - 0.36) / 0.2, -1, 1)
    under = 0.22 * inside(ellipse(face.s, face.v - 0.62, 0.16, 0.05), 0.1)
    image *= 1 + lift - under
    over(image, 0.12 * bump, rgb(1.0, 0.97, 0.93))
    dots = np.cos((face.s - 0.13) * 85) * np.cos((face.v - 0.46) * 85)
    roots = inside(0.55 - dots, 0.5) * inside(pads + 0.05, 0.04)
    over(image, rng.uniform(0, 0.35) * roots, rgb(0.25, 0.18, 0.16))


def draw_eyes(
    image: np.ndarray, face: Face, coat: Coat, light: Light, rng: np.random.Generator
) -> None:
    """Almond eyes with a dark liner, and what shows between the lids."""
    centre_s, centre_v = rng.uniform(0.32, 0.39), rng.uniform(-0.06, 0.02)
    width, height = rng.uniform(0.185, 0.235), rng.uniform(0.14, 0.20)
    tilt = rng.uniform(0.0, 0.35)
    across, down = face.s - centre_s, face.v - centre_v + tilt * (face.s - centre_s)
    bow = 1 - (across / width) ** 2
    left_open, right_open = choose_openness(rng)
    opening = left_open + (right_open - left_open) * inside(-face.u)
    # The lids of a closed eye meet in a curve, so that only the liner is left, as a smile.
    sag = height * (0.5 + 0.4 * opening)
    upper = -down - (height * opening - sag * (1 - opening)) * bow
    eye = np.maximum(np.maximum(upper, down - sag * bow), np.abs(across) - width)
    over(image, inside(eye - 0.035, 0.04), rgb(0.10, 0.07, 0.07))

    ball = inside(eye + 0.015, 0.03)
    draw_gaze(image, face, ball, (centre_s, centre_v), height, coat, light, rng)
    over(image, 0.45 * ball * inside(-upper - 0.05, 0.1), rgb(0.06, 0.04, 0.04))


def draw_gaze(
    image: np.ndarray,
    face: Face,
    ball: np.ndarray,
    centre: Point,
    radius: float,
    coat: Coat,
    light: Light,
    rng: np.random.Generator,
) -> None:
    """Iris, pupil between slit and round, and catch-light, where ``ball`` is 1."""
    # Both eyes look the same way and mirror the same lamp: here u is used, not s.
    u = face.u - np.sign(face.u) * centre[0] - rng.normal(0, 0.018)
    v = face.v - centre[1] - rng.normal(0, 0.012)
    left = tint(pick(coat.eyes, rng), rng, 0.06)
    odd_eyed = rng.random() < 0.05
    right = tint(pick(BLUE_EYES, rng), rng, 0.06) if odd_eyed else left
    ring = inside(0.95 - cv2.magnitude(u, v) / radius, 0.5)
    glow = 1.12 - 0.45 * ring + 0.25 * np.clip(v / radius, -1, 1)
    over(image, ball, np.clip(blend(inside(-face.u), left, right) * glow, 0, 1))

    pupil = ellipse(u, v, radius * rng.uniform(0.2, 0.72), radius * 0.8)
    over(image, ball * inside(pupil, 0.04), rgb(0.04, 0.03, 0.04))
    lamp_u, lamp_v = light.direction[0] * 0.13, light.direction[1] * 0.13
    lamp = cv2.magnitude(u - lamp_u, v - lamp_v) - rng.uniform(0.045, 0.06)
    over(image, 0.95 * ball * inside(lamp, 0.03), rgb(1, 1, 1))


def choose_openness(rng: np.random.Generator) -> tuple[float, float]:
    """How far the left and right eye are open, 0..1: mostly wide, at times drowsy or a wink."""
    mood = rng.random()
    if mood < 0.80:
        opening = rng.uniform(0.9, 1.0)
        return opening, opening
    if mood < 0.90:
        opening = rng.uniform(0.55, 0.75)
        return opening, opening
    if mood < 0.96:
        return 0.0, 0.0
    return pick(((0.0, 1.0), (1.0, 0.0)), rng)


def draw_nose_and_mouth(
    image: np.ndarray, face: Face, coat: Coat, rng: np.random.Generator
) -> None:
    """A rounded triangle of a nose over a mouth like a w, at times with the tongue out."""
    s, v = face.s, face.v
    top, width = rng.uniform(0.27, 0.31), rng.uniform(0.10, 0.13)
    skin = tint(pick(coat.noses, rng), rng)
    ink = skin * 0.35

    mouth_v = top + 0.21
    reach, sag = rng.uniform(0.17, 0.22), rng.uniform(0.04, 0.07)
    smile = v - mouth_v - 4 * sag * (s / reach) * (1 - s / reach)
    if rng.random() < 0.12:
        tongue = np.maximum(ellipse(s, v - mouth_v - 0.06, 0.065, 0.10), mouth_v - v)
        over(image, inside(tongue), rgb(0.93, 0.50, 0.53))
        over(image, 0.4 * inside(np.maximum(tongue, s - 0.008)), rgb(0.70, 0.28, 0.33))
    over(image, 0.8 * inside(np.maximum(np.abs(smile) - 0.012, s - reach)), ink)
    over(image, 0.8 * inside(np.maximum(s - 0.01, np.abs(v - mouth_v + 0.06) - 0.06)), ink)

    nose = round_max(top - v, (s - width) + 0.85 * (v - top), 0.05)
    over(image, inside(nose, 0.04), skin)
    shine = inside(nose + 0.03, 0.05) * inside(v - top - 0.035, 0.05)
    over(image, 0.35 * shine, rgb(1, 0.95, 0.93))
    over(image, 0.8 * inside(ellipse(s - 0.05, v - top - 0.06, 0.028, 0.018)), ink * 0.6)


def draw_whiskers(image: np.ndarray, face: Face, rng: np.random.Generator) -> None:
    """Three long hairs on each side, thinner and fainter towards the end."""
    start = 0.2
    length, droop = rng.uniform(0.55, 0.8), rng.uniform(-0.2, 0.25)
    out = face.s - start
    fade = np.clip(1 - out / length, 0, 1) * inside(-out, 0.05)
    for i in range(3):
        slope = 0.28 * (i - 1) + rng.uniform(-0.06, 0.06)
        hair = face.v - (0.43 + 0.05 * i) - slope * out - droop * out * out
        over(image, rng.uniform(0.7, 1.0) * fade * inside(np.abs(hair) - 0.006), rgb(1, 1, 0.98))


def develop(image: np.ndarray, light: Light, rng: np.random.Generator) -> np.ndarray:
    """Vary exposure, contrast and cast as a camera does; uint8 RGB (n, n, 3)."""
    contrast, lift = rng.uniform(0.92, 1.08), rng.uniform(-0.04, 0.04)
    photo = (image - 0.5) * contrast + 0.5 + lift
    photo *= 0.5 + 0.5 * light.key / light.key.mean()
    return np.clip(photo * 255 + 0.5, 0, 255).astype(np.uint8).transpose(1, 2, 0)
