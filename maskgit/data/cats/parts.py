"""Parts of the cat, each a function that paints on the picture in place."""

import cv2
import numpy as np

from maskgit.data.cats.coats import BLUE_EYES, Coat
from maskgit.data.cats.paint import Point, blend, ellipse, inside, over, pick, rgb, round_max, tint
from maskgit.data.cats.pose import Face, Light, shade


def draw_body(image: np.ndarray, face: Face, fur: np.ndarray, light: Light) -> None:
    """Paints neck and shoulders, in the shadow of the head."""
    shadow = 1 - 0.5 * inside(face.head - 0.1, 0.5)
    lit = fur * shade(face, light, 1.35, 1.0, 1.1) * shadow
    over(image, inside(face.body), lit)


def draw_ears(
    image: np.ndarray, face: Face, fur: np.ndarray, light: Light, rng: np.random.Generator
) -> None:
    """Paints ears with a pink inside and a tuft of pale hair at the inner edge."""
    lit = fur * (light.ambient + 0.75 * light.key)
    over(image, inside(face.ears), lit)
    hollow = inside(face.ears + rng.uniform(0.08, 0.11), 0.06)
    deep = inside(-0.75 - face.v, 0.8)
    pink = blend(0.55 * deep, tint(rgb(0.93, 0.68, 0.64), rng), rgb(0.55, 0.30, 0.28))
    over(image, 0.9 * hollow, pink * (light.ambient + 0.7 * light.key))
    strands = np.clip(0.6 + 0.8 * face.fur, 0, 1) * inside(face.s - 0.45, 0.25)
    over(image, 0.75 * hollow * strands, np.clip(lit + 0.18, 0, 1))


def draw_head(image: np.ndarray, face: Face, fur: np.ndarray, light: Light) -> None:
    """Paints the head, shaded as a round shape, with hollows at the eyes and beside the nose."""
    lit = fur * shade(face, light, 0.1, 0.98, 0.86)
    sockets = 0.22 * inside(ellipse(face.s - 0.34, face.v + 0.02, 0.24, 0.2), 0.3)
    bridge = 0.10 * inside(np.abs(face.s - 0.15) - 0.02, 0.16) * inside(face.v - 0.3, 0.3)
    rim = 0.25 * inside(-0.05 - face.head, 0.16)
    lit *= 1 - np.maximum(sockets, bridge) - rim
    over(image, inside(face.head), lit)


def draw_muzzle(image: np.ndarray, face: Face, rng: np.random.Generator) -> None:
    """Paints two whisker pads and a chin, lit from above, with a few dark whisker roots."""
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
    """Paints almond eyes with a dark liner, and the iris and pupil between the lids."""
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
    """Paints iris, pupil (from slit to round) and catch-light where ``ball`` is 1."""
    # Both eyes look the same way and reflect the same lamp, so u is used here, not s.
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
    """Returns how far left and right eye are open, 0..1: mostly wide, at times drowsy or a wink."""
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
    """Paints a rounded triangular nose over a w-shaped mouth, at times with the tongue out."""
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
    """Paints three whiskers on each side, thinner and fainter towards the end."""
    start = 0.2
    length, droop = rng.uniform(0.55, 0.8), rng.uniform(-0.2, 0.25)
    out = face.s - start
    fade = np.clip(1 - out / length, 0, 1) * inside(-out, 0.05)
    for i in range(3):
        slope = 0.28 * (i - 1) + rng.uniform(-0.06, 0.06)
        hair = face.v - (0.43 + 0.05 * i) - slope * out - droop * out * out
        over(image, rng.uniform(0.7, 1.0) * fade * inside(np.abs(hair) - 0.006), rgb(1, 1, 0.98))
