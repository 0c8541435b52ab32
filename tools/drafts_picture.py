"""Draws docs/drafts.jpg: `python -m tools.drafts_picture PHOTO`.

A box in a photograph of 128, 256 and 512 pixels is filled without and with drafts. For each fill
the tool prints its share of the true detail and its perceptual error. Detail is the energy of what
differs from a blur of one pixel.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from maskgit import load, open_picture
from maskgit.data.image_files import to_square
from maskgit.filling import Fill
from maskgit.inpainting.any_size import fill_photo
from maskgit.schedules import cosine
from maskgit.scoring.perceptual_errors import perceptual_errors
from pipeline.bench.repairs import JUDGE
from pipeline.reporting.pictures import HOLE_COLOUR, labelled_rows, save_picture

SIDES = 128, 256, 512  # pixels of the photograph
SHOWN = 192  # pixels of each picture
HEADING = "side  drafts  share of the detail  perceptual error"


def box(side: int, place: tuple[float, float], share: float) -> np.ndarray:
    """Returns a square hole, bool (side, side); place: of its middle, share: of the side."""
    hole = np.zeros((side, side), dtype=bool)
    row, column = (round(side * (middle - share / 2)) for middle in place)
    length = round(side * share)
    hole[row : row + length, column : column + length] = True
    return hole


def detail(picture: np.ndarray, hole: np.ndarray) -> float:
    """Returns the energy of the detail in the hole."""
    grey = picture.astype(np.float64).mean(axis=2)
    return float(np.square(grey - gaussian_filter(grey, 1))[hole].mean())


def filled(fill: Fill, photo: np.ndarray, hole: np.ndarray, drafts: bool) -> np.ndarray:
    """Fills the hole by the mean reading, and prints the figures of the fill."""
    damaged = np.where(hole[..., None], np.uint8(0), photo)
    result = fill_photo(fill.readings["mean"], damaged, hole, cosine, 1, 0, drafts=drafts)
    share = detail(result, hole) / detail(photo, hole)
    error = perceptual_errors(result[None], photo[None], hole[None], JUDGE)[0]
    print(f"{len(photo):>4}  {'with' if drafts else 'none':<6}  {share:19.3f}  {error:16.2f}")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--model", type=Path, default=Path("weights"), help="a model folder")
    parser.add_argument("--place", type=float, nargs=2, default=(0.5, 0.5), help="row and column")
    parser.add_argument("--share", type=float, default=0.3, help="of the hole's side")
    parser.add_argument("--out", type=Path, default=Path("docs/drafts.jpg"))
    arguments = parser.parse_args()
    fill, rows = load(arguments.model), {}
    whole = open_picture(arguments.photo).rgb
    print(HEADING)
    for side in SIDES:
        photo = to_square(whole, side, "crop")
        hole = box(side, arguments.place, arguments.share)
        marked = np.where(hole[..., None], HOLE_COLOUR, photo)
        fills = [filled(fill, photo, hole, drafts) for drafts in (False, True)]
        pictures = [Image.fromarray(each) for each in (marked, *fills, photo)]
        shown = [np.asarray(p.resize((SHOWN, SHOWN), Image.Resampling.BICUBIC)) for p in pictures]
        rows[f"{side} pixels"] = shown
    save_picture(arguments.out, labelled_rows(rows))


if __name__ == "__main__":
    main()
