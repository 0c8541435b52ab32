"""Draws docs/masks.png: masks as people draw them, and below each its hole, in magenta.

python -m tools.draw_masks docs/masks.png
"""

import sys

import numpy as np
from PIL import Image, ImageDraw

from maskgit.data.cats.cat import draw_cat
from maskgit.data.image_files import Picture
from maskgit.data.masks import marked
from pipeline.reporting.pictures import HOLE_COLOUR

SIZE, GAP = 128, 8


def main(path: str) -> None:
    cat = draw_cat(np.random.default_rng([1, 0]), SIZE)
    drawn = Image.new("1", (SIZE, SIZE))
    ImageDraw.Draw(drawn).line([(30, 40), (60, 60), (95, 45)], fill=1, width=18)
    stroke = np.asarray(drawn)
    opaque, clear = np.full((SIZE, SIZE), 255), np.where(stroke, 0, 255)
    white, red = (np.where(stroke[..., None], colour, 0) for colour in ((255,) * 3, (255, 0, 0)))
    masks = {
        "white on black": (white, opaque),
        "red on black": (red, opaque),
        "red on clear": (red, 255 - clear),
        "photo, erased": (cat, clear),
        "black, erased": (np.zeros_like(cat), clear),
    }
    checks = 200 + 40 * ((np.indices((SIZE, SIZE)) // 8).sum(axis=0) % 2)
    width, height = len(masks) * (SIZE + GAP) - GAP, 2 * SIZE + GAP + 20
    canvas = Image.new("RGB", (width, height), "white")
    for i, (name, (colours, alpha)) in enumerate(masks.items()):
        own = np.dstack([colours, alpha]).astype(np.uint8)
        hole = marked(Picture(own)).hole
        shown = np.where(alpha[..., None] > 0, colours, checks[..., None]).astype(np.uint8)
        filled = np.where(hole[..., None], HOLE_COLOUR, cat).astype(np.uint8)
        left = i * (SIZE + GAP)
        ImageDraw.Draw(canvas).text((left, 4), name, "black")
        canvas.paste(Image.fromarray(shown), (left, 20))
        canvas.paste(Image.fromarray(filled), (left, 20 + SIZE + GAP))
    canvas.save(path, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
