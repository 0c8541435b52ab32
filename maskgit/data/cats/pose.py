"""Pose and light of a head: coordinate grids, outlines, shading."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from maskgit.data.cats.paint import Point, ellipse, inside, rgb, round_max, round_min


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
    """Direction and colour of the key light, and the colour of the shadows."""

    direction: tuple[float, float, float]
    key: np.ndarray
    ambient: np.ndarray


def pose_face(rng: np.random.Generator, n: int) -> Face:
    """Samples a pose and a head shape, and makes the grids of an ``n`` x ``n`` picture."""
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
    """Draws fine fur: noise that is long along the radius and short across it."""
    noise = rng.standard_normal((10, 44)).astype(np.float32)
    columns, rows = theta * (43 / math.pi), r * 6
    return 0.6 * cv2.remap(noise, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def head_distance(
    s: np.ndarray, v: np.ndarray, theta: np.ndarray, fur: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Returns the distance to the outline of the head: a skull, cheeks and a chin."""
    skull = ellipse(s, v + 0.02, rng.uniform(0.64, 0.72), rng.uniform(0.54, 0.60))
    cheeks = ellipse(s, v - 0.24, rng.uniform(0.68, 0.82), rng.uniform(0.36, 0.42))
    chin = ellipse(s, v - 0.48, 0.34, rng.uniform(0.24, 0.29))
    head = round_min(round_min(skull, cheeks, 0.12), chin, 0.12)
    # Tufts stick out of the cheeks only.
    tufts = rng.uniform(0, 0.045) * np.abs(np.sin(rng.uniform(9, 13) * theta))
    return head - tufts * inside(np.abs(theta - 1.75) - 0.4, 0.4) - 0.012 * fur


def ear_distance(s: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the distance to the ears: two curved edges that meet in a rounded tip."""
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
    """Returns the distance to the right-hand side of a line that bows outwards between two ends."""
    along_s, along_v = end[0] - start[0], end[1] - start[1]
    length = math.hypot(along_s, along_v)
    along_s, along_v = along_s / length, along_v / length
    t = ((s - start[0]) * along_s + (v - start[1]) * along_v) / length
    across = (s - start[0]) * along_v - (v - start[1]) * along_s
    return across - bulge * length * t * (1 - t)


def choose_light(rng: np.random.Generator) -> Light:
    """Samples a light from above, to one side, warm with cool shadows or the reverse."""
    side, height = rng.uniform(-0.75, 0.75), rng.uniform(-0.75, -0.25)
    warmth = rng.uniform(-1, 1) * rgb(0.07, 0.0, -0.08)
    strength = rng.uniform(0.45, 0.75)
    key = strength * (1 + warmth)
    ambient = (1.12 - strength) * (1 - 0.5 * warmth)
    length = math.hypot(side, height, 1)
    return Light((side / length, height / length, 1 / length), key, ambient)


def shade(face: Face, light: Light, centre_v: float, a: float, b: float) -> np.ndarray:
    """Returns the light on an ellipsoid about (0, centre_v), half axes a, b, as RGB factors."""
    nx, ny = face.u / a, (face.v - centre_v) / b
    squared = np.minimum(nx * nx + ny * ny, 4.0)
    nz = np.sqrt(np.maximum(1 - squared, 0.03))
    lx, ly, lz = light.direction
    facing = (nx * lx + ny * ly + nz * lz) / np.sqrt(np.maximum(squared, 1))
    return light.ambient + np.clip(facing, 0, 1) * light.key * 1.15
