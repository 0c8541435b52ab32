"""Fills holes in pictures of any size, on a scaled copy of a window around each hole."""

import numpy as np
from PIL import Image
from scipy import ndimage

from maskgit.inpainting.inpainter import Inpainter, image_generators
from maskgit.inpainting.seam import blend
from maskgit.schedules import Gamma

CONTEXT = 3  # a window's side, in sides of the hole that it is for


def fill_photo(
    inpainter: Inpainter,
    image: np.ndarray,
    hole: np.ndarray,
    gamma: Gamma,
    iterations: int,
    seed: int,
) -> np.ndarray:
    """Fills the hole of one picture.

    Holes near each other share a window, a square of CONTEXT times their extent; it is scaled to
    the size that the models know, filled, scaled back and blended in. A window much larger than
    that size gets a soft fill: the models draw no more detail than they were trained on.

    image: uint8 (H, W, 3); hole: bool (H, W), True = fill. Returns uint8 (H, W, 3), known pixels
    bit for bit. Raises ValueError where the shapes do not fit.
    """
    if image.dtype != np.uint8 or hole.dtype != bool or image.shape != (*hole.shape, 3):
        raise ValueError("image must be uint8 (H, W, 3) and hole bool (H, W)")
    size = inpainter.transformer.grid * inpainter.tokenizer.cell
    filled, left = image.copy(), hole.copy()
    reach = 1 + min(hole.shape) // 8
    groups, _ = ndimage.label(ndimage.maximum_filter(hole, reach))
    for number, box in enumerate(ndimage.find_objects(groups), start=1):
        rows, columns = np.nonzero(left[box] & (groups[box] == number))
        if len(rows) == 0:  # an earlier window filled it
            continue
        rows, columns = rows + box[0].start, columns + box[1].start
        top, side = window(rows, columns, hole.shape, size)
        crop, unknown = cut(filled, left, top, side)
        small, small_hole = shrink(crop, unknown, size)
        generators = image_generators(seed, [number])
        result = inpainter(small[None], small_hole[None], gamma, iterations, generators)
        large = Image.fromarray(result.images[0]).resize((side, side), Image.Resampling.BICUBIC)
        patch = blend(np.asarray(large)[None], crop[None], unknown[None])[0]
        paste(filled, left, patch, top)
    return filled


def put_back(filled: np.ndarray, own: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The fill in the picture's own depth and channels, all it had outside the hole untouched.

    filled: uint8 (H, W, 3); own: uint8 or uint16 (H, W, C) with C grey, grey and alpha, RGB, or RGB
    and alpha. Returns such an array as `own`, opaque in the hole.
    """
    channels = own.shape[2]
    grey = np.asarray(Image.fromarray(filled).convert("L"))[..., None]
    values = filled if channels >= 3 else grey
    if channels in (2, 4):
        values = np.concatenate([values, np.full_like(grey, 255)], axis=2)
    scale = np.iinfo(own.dtype).max // 255
    return np.where(hole[..., None], values.astype(own.dtype) * scale, own).astype(own.dtype)


def window(
    rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int], size: int
) -> tuple[tuple[int, int], int]:
    """Corner (row, column) and side of the square around the given pixels.

    Inside the picture where it fits; never smaller than the hole, nor than `size` if the picture
    has that much.
    """
    extent = max(np.ptp(rows), np.ptp(columns)) + 1
    side = int(max(extent, min(max(size, CONTEXT * extent), min(shape))))
    corner = []
    for places, length in zip((rows, columns), shape, strict=True):
        start = (int(places.min()) + int(places.max()) + 1 - side) // 2
        low, high = sorted((0, length - side))  # a picture narrower than the window: go outside
        corner.append(min(max(start, low), high))
    return (corner[0], corner[1]), side


def cut(
    image: np.ndarray, hole: np.ndarray, corner: tuple[int, int], side: int
) -> tuple[np.ndarray, np.ndarray]:
    """The window's pixels and what is unknown there: the hole, and all outside the picture."""
    crop = np.zeros((side, side, 3), dtype=np.uint8)
    unknown = np.ones((side, side), dtype=bool)
    source, target = overlap(hole.shape, corner, side)
    crop[target], unknown[target] = image[source], hole[source]
    return crop, unknown


def paste(image: np.ndarray, hole: np.ndarray, patch: np.ndarray, corner: tuple[int, int]) -> None:
    """Puts the patch into the holes of its window, in place; they are known from then on."""
    source, target = overlap(hole.shape, corner, len(patch))
    image[source] = np.where(hole[source][..., None], patch[target], image[source])
    hole[source] = False


def overlap(
    shape: tuple[int, int], corner: tuple[int, int], side: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where window and picture meet, in the picture's and in the window's coordinates."""
    starts = [max(0, place) for place in corner]
    stops = [min(length, place + side) for length, place in zip(shape, corner, strict=True)]
    spans = list(zip(starts, stops, corner, strict=True))
    in_picture = tuple(slice(start, stop) for start, stop, _ in spans)
    in_window = tuple(slice(start - place, stop - place) for start, stop, place in spans)
    return in_picture, in_window


def shrink(crop: np.ndarray, unknown: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The window at size x size; whatever touches an unknown pixel is unknown.

    Averages over areas, so that no known pixel of the copy has seen an unknown one.
    """
    small = Image.fromarray(crop).resize((size, size), Image.Resampling.BOX)
    share = Image.fromarray(unknown.astype(np.float32)).resize((size, size), Image.Resampling.BOX)
    return np.asarray(small), np.asarray(share) > 0
