"""Reads or draws one image or mask. Other processes run this, so it imports little."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

import numpy as np

from maskgit.data.cats.cat import draw_cat
from maskgit.data.copies import take_print
from maskgit.data.crops import BOX, cut_boxes, random_boxes
from maskgit.data.image_files import UnusableImage, decode_picture, to_square
from maskgit.data.mask_sets import fit_mask
from maskgit.data.masks import check_hole, marked

LARGE = 4  # windows of a drawn cat are cut from a picture of so many times the size


class File(NamedTuple):
    """The bytes of a file of the source; without bytes, `fault` says why."""

    name: str
    part: str
    data: bytes
    fault: str


@dataclass(frozen=True)
class SourceImage:
    """One file of the source.

    Attributes:
        file: its path relative to the source, with forward slashes.
        sha256: of the file's bytes, in hex; '' where they were not read.
        pixels: uint8 RGB (size, size, 3), None where the file is unusable.
        crops: uint8 RGB (crops, size, size, 3), windows of it; None likewise.
        boxes: int64 (crops, 3), where they lie in the picture (`BOX`); None likewise.
        reason: why it is unusable, '' where it is usable.
        notes: of a usable one, see `Picture.notes`, divided by semicolons.
        split: train, val or test where the lab's layout says so, else ''.
    """

    file: str
    sha256: str
    pixels: np.ndarray | None
    crops: np.ndarray | None
    boxes: np.ndarray | None
    reason: str
    notes: str
    split: str


def read_image(
    file: File, size: int, fit: str, min_side: int, crops: int, seed: int
) -> SourceImage:
    """Reads one file of a source, as `pipeline.inputs.dataset.read_source` describes."""
    digest = sha256(file.data).hexdigest() if not file.fault else ""
    try:
        if file.fault:
            raise UnusableImage(file.fault)
        picture = decode_picture(file.data)
        image = picture.rgb
        if min(image.shape[:2]) < min_side:
            raise UnusableImage(f"smaller than {min_side} px")
    except UnusableImage as unusable:
        return SourceImage(file.name, digest, None, None, None, str(unusable), "", file.part)
    rng = np.random.default_rng([seed, int(digest[:16], 16)])
    boxes = random_boxes(*image.shape[:2], crops, size, rng)
    windows = cut_boxes(image, boxes, size)
    pixels, notes = to_square(image, size, fit), "; ".join(picture.notes)
    return SourceImage(file.name, digest, pixels, windows, boxes, "", notes, file.part)


def draw_image(number: int, size: int, crops: int, seed: int) -> SourceImage:
    """Draws an image of the built-in data set: a cat face, determined by the seed and a number.

    Its file's bytes are its pixels.
    """
    pixels = draw_cat(np.random.default_rng([seed, number]), size)
    windows = np.empty((0, size, size, 3), np.uint8)
    boxes = np.empty((0, len(BOX)), np.int64)
    if crops:
        rng = np.random.default_rng([seed, number])
        large = draw_cat(rng, LARGE * size)
        boxes = random_boxes(*large.shape[:2], crops, size, rng)
        windows = cut_boxes(large, boxes, size)
    digest = sha256(pixels.tobytes()).hexdigest()
    return SourceImage(f"cat_{number:05d}", digest, pixels, windows, boxes, "", "", "")


class Batch(NamedTuple):
    """Images made together.

    Attributes:
        files: name, split, reason and notes of each.
        digests: uint8 (n, 32); sha256 of each, zeros where the bytes were not read.
        pixels: uint8 (m, size, size, 3), of the m usable ones.
        crops, boxes: uint8 (m, crops, size, size, 3), int64 (m, crops, 3).
        pixel_digests, coarse: uint8 (m, 32), int16 (m, 256); see `maskgit.data.copies.Prints`.
    """

    files: list[tuple[str, str, str, str]]
    digests: np.ndarray
    pixels: np.ndarray
    crops: np.ndarray
    boxes: np.ndarray
    pixel_digests: np.ndarray
    coarse: np.ndarray


def make_batch(make: Callable[[File | int], SourceImage], block: Sequence[File | int]) -> Batch:
    """Makes the images of a block, and the prints by which copies are found."""
    images = list(map(make, block))
    usable = [image for image in images if not image.reason]
    prints = [take_print(image.pixels) for image in usable]
    digests = b"".join(bytes.fromhex(image.sha256).ljust(32, b"\0") for image in images)
    return Batch(
        [(image.file, image.split, image.reason, image.notes) for image in images],
        np.frombuffer(digests, np.uint8).reshape(-1, 32),
        np.array([image.pixels for image in usable]),
        np.array([image.crops for image in usable]),
        np.array([image.boxes for image in usable]),
        np.frombuffer(b"".join(digest for digest, _ in prints), np.uint8).reshape(-1, 32),
        np.array([coarse for _, coarse in prints]),
    )


class SourceMask(NamedTuple):
    """A mask file: its sha256 in hex, its hole, bool (size, size), or why it is unusable."""

    file: str
    sha256: str
    hole: np.ndarray | None
    reason: str


def read_mask(file: File, size: int) -> SourceMask:
    """Reads a mask by the rule of `maskgit.data.masks`, scaled and cropped to the picture."""
    digest = sha256(file.data).hexdigest() if not file.fault else ""
    try:
        if file.fault:
            raise UnusableImage(file.fault)
        hole = fit_mask(marked(decode_picture(file.data)).hole, size)
        check_hole(hole)
    except UnusableImage as unusable:
        return SourceMask(file.name, digest, None, str(unusable))
    return SourceMask(file.name, digest, hole, "")


def read_masks(block: Sequence[File], size: int) -> list[SourceMask]:
    """Returns `read_mask` of each."""
    return [read_mask(file, size) for file in block]
