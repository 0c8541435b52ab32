"""Draws parametric cat faces from a seed: the built-in data set.

Every shape is a soft mask over coordinate grids, whose edge is about a pixel wide at 64 pixels. So
edges are smooth without supersampling, and a cat looks the same at any size. There are two
coordinate systems:

- frame: ``x`` to the right and ``y`` down, both -1..1 over the picture;
- face: ``u`` and ``v``, the frame turned, scaled and shifted with the head. The face is mirror
  symmetric about ``u = 0``, so most parts are drawn once with ``s = |u|``.

Colours are float RGB in 0..1 until the last step.
"""

import math

import numpy as np

from maskgit.data.cats.backgrounds import draw_background
from maskgit.data.cats.coats import choose_coat
from maskgit.data.cats.parts import (
    draw_body,
    draw_ears,
    draw_eyes,
    draw_head,
    draw_muzzle,
    draw_nose_and_mouth,
    draw_whiskers,
)
from maskgit.data.cats.pose import Light, choose_light, pose_face


def draw_cats(count: int, seed: int, size: int = 64) -> np.ndarray:
    """Draws ``count`` cat faces as uint8 RGB (count, size, size, 3).

    Image ``i`` depends only on ``seed`` and ``i``, so that a longer set begins with the shorter
    one.
    """
    images = np.empty((count, size, size, 3), np.uint8)
    for i in range(count):
        images[i] = draw_cat(np.random.default_rng([seed, i]), size)
    return images


def draw_cat(rng: np.random.Generator, size: int = 64) -> np.ndarray:
    """Draws one cat face as uint8 RGB (size, size, 3)."""
    # Below 64 pixels the masks are too sharp, so a larger picture is drawn and averaged.
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


def develop(image: np.ndarray, light: Light, rng: np.random.Generator) -> np.ndarray:
    """Varies exposure, contrast and colour cast as cameras do; returns uint8 RGB (n, n, 3)."""
    contrast, lift = rng.uniform(0.92, 1.08), rng.uniform(-0.04, 0.04)
    photo = (image - 0.5) * contrast + 0.5 + lift
    photo *= 0.5 + 0.5 * light.key / light.key.mean()
    return np.clip(photo * 255 + 0.5, 0, 255).astype(np.uint8).transpose(1, 2, 0)
