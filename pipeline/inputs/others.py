"""Fills that other tools made of the test images: the task they were given, and their reading.

The holes of the task are grey, so that no tool can see what it has to guess. The name of each
picture holds a hash of the picture and its hole: fills of another task have other names.
"""

from collections import Counter
from hashlib import sha256
from pathlib import PurePath
from typing import NamedTuple

import numpy as np
import pandas as pd

from maskgit.data.image_files import UnusableImage, decode_image
from pipeline.inputs.untrusted import EXTENSIONS, Entry, list_folder
from pipeline.plumbing.errors import UserError, printable
from pipeline.plumbing.places import project_root

GREY = 128  # what other tools see in a hole
FOREIGN = 32  # of 255: known pixels that differ by more on average are of another picture


class Fills(NamedTuple):
    """Fills of a tool, with the true known pixels.

    Attributes:
        images: uint8 (N, H, W, 3).
        change: float (N,); by how much the tool changed known pixels, on average, of 255.
        largest: int (N,); by how much at most.
    """

    images: np.ndarray
    change: np.ndarray
    largest: np.ndarray

    @property
    def note(self) -> str:
        """How the tool changed known pixels, '' where it left them alone."""
        count = int((self.largest > 0).sum())
        if not count:
            return ""
        return (
            f"changed known pixels in {count} of {len(self.images)} pictures, by "
            f"{self.change.mean():.2g} of 255 on average and {self.largest.max()} at most; "
            "the true ones are scored in their place"
        )


def greyed(images: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """Returns images with grey holes. images: uint8 (N, H, W, 3); holes: bool (N, H, W)."""
    return np.where(holes[..., None], np.uint8(GREY), images)


def task_names(images: np.ndarray, holes: np.ndarray) -> list[str]:
    """Returns the name of each picture of a task, without its ending."""
    names = []
    for i, (image, hole) in enumerate(zip(greyed(images, holes), holes, strict=True)):
        digest = sha256(image.tobytes() + hole.tobytes()).hexdigest()
        names.append(f"image_{i:03d}_{digest[:8]}")
    return names


def load_others(folders: dict[str, str], images: np.ndarray, holes: np.ndarray) -> dict[str, Fills]:
    """Reads what each tool made of a task. folders: by the tool's name, from the project's root.

    images: uint8 (N, H, W, 3), true; holes: bool (N, H, W). Raises UserError where a file is
    missing or superfluous, cannot be read, has another size, or is of another picture.
    """
    names = task_names(images, holes) if folders else []
    return {
        tool: load_fills(f"score.others.{tool}: {PurePath(folder)}", folder, names, images, holes)
        for tool, folder in folders.items()
    }


def load_fills(
    where: str, folder: str, names: list[str], images: np.ndarray, holes: np.ndarray
) -> Fills:
    """See `load_others`. where: parameter and folder, for errors; names: of the pictures."""
    path = project_root() / folder
    if not path.is_dir():
        raise UserError(f"{where} is not a folder; name the one with the tool's pictures")
    entries = match_names(where, list_folder(path, follow_links=True), names)
    filled = np.empty_like(images)
    change, largest = np.zeros(len(images)), np.zeros(len(images), int)
    for i, (entry, image, hole) in enumerate(zip(entries, images, holes, strict=True)):
        filled[i] = load_fill(where, entry, image.shape[:2])
        known = ~hole
        if known.any():
            difference = np.abs(filled[i][known].astype(int) - image[known])
            change[i], largest[i] = difference.mean(), difference.max()
        if change[i] > FOREIGN:
            raise UserError(
                f"{where}/{printable(entry.file)} is no fill of this picture: its known pixels "
                f"differ by {change[i]:.0f} of 255; give the tool masks in which the hole is white"
            )
        filled[i][known] = image[known]
    return Fills(filled, change, largest)


def match_names(where: str, entries: list[Entry], names: list[str]) -> list[Entry]:
    """Returns the file of each name, with any ending of pictures. Raises UserError."""
    stems = Counter(PurePath(entry.file).stem for entry in entries)
    by_name, expected = {}, set(names)
    for entry in sorted(entries, key=lambda entry: entry.file):
        file = PurePath(entry.file)
        wanted = file.name == entry.file and file.stem in expected
        if not wanted or file.suffix.lower() not in EXTENSIONS:
            raise UserError(
                f"{where}/{printable(entry.file)} is no picture of this task; remove it, or fill "
                "what 'maskgit task' writes again if data or holes changed"
            )
        if stems[file.stem] > 1:
            raise UserError(f"{where}/{file.stem} is there with two endings; remove one")
        by_name[file.stem] = entry
    missing = [name for name in names if name not in by_name]
    if missing:
        raise UserError(
            f"{where}/{missing[0]}.png is missing, one of {len(missing)} of {len(names)}; have the "
            "tool fill all that 'maskgit task' writes"
        )
    return [by_name[name] for name in names]


def load_fill(where: str, entry: Entry, shape: tuple[int, int]) -> np.ndarray:
    """Returns the pixels of a fill, uint8 (H, W, 3). Raises UserError."""
    file = f"{where}/{printable(entry.file)}"
    try:
        if entry.fault:
            raise UnusableImage(entry.fault)
        pixels = decode_image(entry.read())
    except UnusableImage as unusable:
        raise UserError(f"{file}: {unusable}; have the tool write it again") from None
    if pixels.shape[:2] != shape:
        (height, width), (rows, columns) = pixels.shape[:2], shape
        raise UserError(
            f"{file} is {width} x {height}, the task's picture {columns} x {rows}; have the tool "
            "keep the size"
        )
    return pixels


def notes_table(others: dict[str, Fills]) -> pd.DataFrame:
    """Returns a row for each tool: how it changed known pixels."""
    rows = [
        {
            "method": tool,
            "pictures": len(fills.images),
            "changed": int((fills.largest > 0).sum()),
            "mean_change": fills.change.mean(),
            "largest_change": int(fills.largest.max()),
            "note": fills.note,
        }
        for tool, fills in others.items()
    ]
    return pd.DataFrame(rows)
