"""Makes masks for the pictures of a folder: random ones, or of the dust that is in them."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from maskgit.data.dust import find_dust
from maskgit.data.holes import HOLES, PIXEL_PATTERNS, draw_numbered_holes
from maskgit.data.image_files import Picture, UnusableImage, decode_picture
from maskgit.data.masks import percent
from pipeline.commands.photos import by_stem, keep_originals, pictures_in, read_picture, save_png
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import check_writable

MASK_SIZE = 256  # random masks are drawn at this size and stretched; patterns of pixels are not

# From a picture and its number in the folder to its hole, bool (H, W).
Draw = Callable[[Picture, int], np.ndarray]


class Outcome(NamedTuple):
    """What became of the pictures, a line for each."""

    made: list[str]
    kept: list[str]
    failed: list[str]


def random_hole(kind: str, area: tuple[float, float], seed: int) -> Draw:
    """Draws a random hole of the picture's size; hole i is seeded by i. Raises UserError."""
    if kind not in HOLES:
        raise UserError(f"--kind: should be one of {', '.join(HOLES)}")
    if not 0 < area[0] <= area[1] < 1:
        raise UserError("--area: should be two shares between 0 and 1, the smaller first")

    def draw(picture: Picture, number: int) -> np.ndarray:
        height, width = picture.shape
        size = max(height, width) if kind in PIXEL_PATTERNS else MASK_SIZE
        hole = draw_numbered_holes([number], [kind], area, size, seed)[0]
        if kind in PIXEL_PATTERNS:
            return hole[:height, :width]
        return np.asarray(Image.fromarray(hole).resize((width, height), Image.Resampling.NEAREST))

    return draw


def dust(dark: bool) -> Draw:
    """Marks light dust, or dark dust."""
    return lambda picture, number: find_dust(picture.rgb, dark)


def save_masks(source: Path, out: Path, draw: Draw) -> Outcome:
    """Saves a mask for each picture, as large as the picture, white = hole, with a progress bar.

    A mask that is there already is kept: people correct masks by hand. A line says how much is
    marked, or why there is no new mask. Raises UserError.
    """
    pictures = by_stem(pictures_in(source), source)
    targets = [out / f"{stem}.png" for stem in pictures]
    keep_originals(targets, list(pictures.values()))
    check_writable(targets)
    outcome = Outcome([], [], [])
    planned = zip(pictures.values(), targets, strict=True)
    for number, (path, target) in enumerate(tqdm(planned, "mask", len(targets), unit="picture")):
        if target.exists():
            outcome.kept.append(f"{target} is there already, and was kept; delete it for a new one")
            continue
        try:
            hole = draw(decode_picture(read_picture(path, source)), number)
        except (UnusableImage, OSError) as error:
            outcome.failed.append(f"{path}: {error}")
            continue
        save_png(hole.astype(np.uint8) * 255, target)
        outcome.made.append(f"{target}: {percent(hole) if hole.any() else 'nothing found'}")
    return outcome
