"""Makes masks for the pictures of a folder: random ones, or of the dust that is in them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from maskgit.data.dust import find_dust
from maskgit.data.holes import HOLES, draw_holes
from maskgit.data.image_files import Picture, UnusableImage, decode_picture
from pipeline.commands.photos import by_stem, keep_originals, pictures_in, read_picture
from pipeline.plumbing.errors import UserError

MASK_SIZE = 256  # random masks are drawn at this size and stretched to the picture


def plan_masks(source: Path, out: Path) -> dict[Path, Path]:
    """Returns for each picture where its mask goes. Raises UserError."""
    pictures = by_stem(pictures_in(source), source)
    targets = [out / f"{stem}.png" for stem in pictures]
    keep_originals(targets, list(pictures.values()))
    return dict(zip(pictures.values(), targets, strict=True))


def open_picture(path: Path, source: Path) -> Picture:
    """Reads a picture. Raises UserError where it cannot be read."""
    try:
        return decode_picture(read_picture(path, source))
    except UnusableImage as error:
        raise UserError(f"{path}: {error}") from None


def draw_masks(
    source: Path, out: Path, kind: str, area: tuple[float, float], seed: int
) -> Iterator[tuple[Path, np.ndarray]]:
    """Yields for each picture where to save a mask, and the mask, uint8 (H, W), white = hole.

    A mask has the picture's size; mask i is seeded by i. Raises UserError where the kind or area is
    wrong or a picture cannot be read.
    """
    if kind not in HOLES:
        raise UserError(f"--kind: should be one of {', '.join(HOLES)}")
    if not 0 < area[0] <= area[1] < 1:
        raise UserError("--area: should be two shares between 0 and 1, the smaller first")
    planned = plan_masks(source, out)
    holes = draw_holes(len(planned), [kind], area, MASK_SIZE, seed)
    for (picture, target), hole in zip(planned.items(), holes, strict=True):
        height, width = open_picture(picture, source).shape
        mask = Image.fromarray(hole.astype(np.uint8) * 255)
        yield target, np.asarray(mask.resize((width, height), Image.Resampling.NEAREST))


def find_masks(source: Path, out: Path, dark: bool) -> Iterator[tuple[Path, np.ndarray]]:
    """Yields for each picture where to save a mask of its dust, and the mask, as `draw_masks`."""
    for picture, target in tqdm(plan_masks(source, out).items(), "find dust", unit="picture"):
        found = find_dust(open_picture(picture, source).rgb, dark)
        yield target, found.astype(np.uint8) * 255
