"""Reads the pictures that the user points at: a folder, a zip, Parquet or the lab's layout.

The lab's layout is `cat_face/{train,val,test}` with `mask64/` beside `cat_face`, in a folder or in
a zip. It alone says which split a picture belongs to.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path, PurePosixPath

import numpy as np

from maskgit.data.holes import stretched
from maskgit.data.image_files import UnusableImage, decode_picture
from maskgit.data.masks import marked
from pipeline.inputs.images import File, SourceImage, read_image
from pipeline.inputs.parquet import expand_parquet, is_parquet, list_parquet
from pipeline.inputs.untrusted import (
    EXTENSIONS,
    LINK_OUT,
    LINK_TO_FOLDER,
    Entry,
    list_folder,
    not_a_picture,
)
from pipeline.inputs.zips import is_zip, opened_zip
from pipeline.plumbing.errors import UserError

LAB = "cat_face"
LAB_SPLITS = ("train", "val", "test")
LAB_MASKED = "masked_image"  # test pictures with the holes painted in, of no use here
LAB_MASKS = "mask64"
LAB_FOLDERS = (*LAB_SPLITS, LAB_MASKED)

_EXPECTED = (
    "expected a folder of images, a zip or a Parquet file of images, "
    f"or the lab layout {LAB}/{{{','.join(LAB_SPLITS)}}} with {LAB_MASKS}/"
)


def read_source(
    source: Path,
    size: int,
    fit: str,
    min_side: int,
    crops: int = 0,
    seed: int = 0,
    follow_links: bool = False,
) -> Iterator[SourceImage]:
    """Yields every file of the source, one at a time, in natural order of the names.

    Passed over are hidden files, what operating systems leave behind, and the lab's masks. Any
    other file that gives no picture comes with its reason. Nothing is unpacked to disk.

    Args:
        source: a folder (read with all that lies in it, Parquet files by row), a zip, a Parquet
            file, or any of them in the lab's layout.
        size: side of the resulting pictures.
        fit: 'crop' or 'pad', how a picture that is not square becomes one.
        min_side: pictures with a shorter side are unusable.
        crops: how many windows of each picture to cut (`random_boxes`), by `seed` and its bytes.
        follow_links: see `list_folder`.

    Raises:
        UserError: there is no such source, or it is corrupt, or holds no image files.
    """
    with open_pictures(source, follow_links) as entries:
        for entry in entries:
            yield read_image(load_file(entry), size, fit, min_side, crops, seed)


@contextmanager
def open_pictures(source: Path, follow_links: bool = False) -> Iterator[list[Entry]]:
    """Yields the files that `read_source` reads, unread; they can be read within the context.

    Raises UserError as `read_source` does.
    """
    with _open_source(source, follow_links) as entries:
        yield _pictures(entries)


def file_blocks(entries: Iterable[Entry], most: int, most_bytes: int) -> Iterator[list[File]]:
    """Yields the files in lists of `most`, or of fewer that reach `most_bytes`."""
    block, size = [], 0
    for entry in entries:
        block.append(load_file(entry))
        size += len(block[-1].data)
        if len(block) == most or size >= most_bytes:
            yield block
            block, size = [], 0
    if block:
        yield block


def load_file(entry: Entry) -> File:
    """Reads the bytes of an entry, or says in `fault` why there are none."""
    try:
        return File(entry.file, entry.part, _read_bytes(entry), "")
    except UnusableImage as unusable:
        return File(entry.file, entry.part, b"", str(unusable))


def read_lab_masks(source: Path, size: int, follow_links: bool = False) -> np.ndarray | None:
    """Reads the hole masks of the lab's layout, in natural order of their names.

    The lab's files are white where the picture is known; the result is the other way round.

    Args:
        source: as for `read_source`; for the folder `cat_face` itself the masks lie beside it.
        size: side of the resulting masks.
        follow_links: see `list_folder`.

    Returns:
        bool (N, size, size), True = hole; None where the source is not the lab's or has no masks.

    Raises:
        UserError: the source cannot be used, or one of its masks cannot be read.
    """
    with _open_source(source, follow_links) as entries:
        if not _is_lab(entries):
            return None
        masks = [entry for entry in entries if entry.part == LAB_MASKS]
        beside = source.resolve().parent / LAB_MASKS
        if not masks and source.is_dir() and _is_cat_face(source) and beside.is_dir():
            masks = _in_order(list_folder(beside, follow_links))
        holes = [_read_hole(entry, size) for entry in masks if _has_image_name(entry)]
    return np.stack(holes) if holes else None


# Listing


@contextmanager
def _open_source(source: Path, follow_links: bool) -> Iterator[list[Entry]]:
    """Yields the source's files, readable within the context, in natural order.

    Those of a Parquet file are in its own order, unless it holds the lab's folders.
    """
    if not source.exists():
        raise UserError(f"{source} does not exist: {_EXPECTED}")
    if source.is_dir():
        files = _in_order(list_folder(source, follow_links))
        yield _checked(expand_parquet(source, files), source)
    elif not source.is_file():  # a pipe would never answer
        raise UserError(f"{source} is not a regular file: {_EXPECTED}")
    elif is_zip(source):
        with opened_zip(source) as entries:
            yield _checked(_in_order(entries), source)
    elif is_parquet(source.name):
        yield _checked(list_parquet(source), source)
    else:
        raise UserError(f"{source} is neither a folder nor a zip: {_EXPECTED}")


def _checked(entries: list[Entry], source: Path) -> list[Entry]:
    if not any(map(_has_image_name, entries)):
        links = sum(entry.fault in (LINK_OUT, LINK_TO_FOLDER) for entry in entries)
        linked = f" but {links} links, which data.follow_links reads" if links else ""
        named = f"({' '.join(EXTENSIONS)}){linked}"
        raise UserError(f"{source} holds no image files {named}: {_EXPECTED}")
    above = LAB if _is_cat_face(source) else ""
    parted = [replace(entry, part=_lab_part(entry.file, above)) for entry in entries]
    return _in_order(parted) if _is_lab(parted) else parted  # masks go with pictures in order


def _has_image_name(entry: Entry) -> bool:
    return entry.file.lower().endswith(EXTENSIONS)


def _in_order(entries: list[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: (_natural_key(entry.file), entry.file))


def _natural_key(name: str) -> list[str | tuple[int, str]]:
    """Puts 9.jpg before 10.jpg; digits stay text, as a name may have more than int() takes."""
    parts = re.split(r"([0-9]+)", name)
    parts[1::2] = [(len(digits.lstrip("0")), digits.lstrip("0")) for digits in parts[1::2]]
    return parts


# The lab's layout


def _is_cat_face(source: Path) -> bool:
    return source.resolve().name in (LAB, f"{LAB}.zip")


def _lab_part(file: str, above: str) -> str:
    """Returns the lab's folder of a file, '' for any other; `above` is the source's own name."""
    for parent, folder in pairwise((above, *PurePosixPath(file).parent.parts)):
        if folder == LAB_MASKS or (parent == LAB and folder in LAB_FOLDERS):
            return folder
    return ""


def _is_lab(entries: list[Entry]) -> bool:
    return any(entry.part in LAB_SPLITS for entry in entries)


def _pictures(entries: list[Entry]) -> list[Entry]:
    """Returns the entries that are pictures, with every fault that shows without reading."""
    is_lab = _is_lab(entries)
    pictures = []
    for entry in entries:
        if is_lab and entry.part in (LAB_MASKS, LAB_MASKED):
            continue
        fault = entry.fault
        if not _has_image_name(entry):
            fault = fault or not_a_picture(entry.file)
        elif is_lab and not entry.part:
            fault = fault or f"outside {', '.join(LAB_SPLITS)}"
        pictures.append(replace(entry, fault=fault, part=entry.part if is_lab else ""))
    return pictures


# Reading


def _read_hole(entry: Entry, size: int) -> np.ndarray:
    try:
        mask = decode_picture(_read_bytes(entry))
    except UnusableImage as unusable:
        raise UserError(f"mask {entry.file!r}: {unusable}; replace this file") from None
    height, width = mask.shape
    if height != width:  # its picture is cropped or padded to a square
        raise UserError(f"mask {entry.file!r}: is {width} x {height}; masks in mask64 are square")
    known = marked(mask).hole  # white, in the lab's files
    return stretched(~known, (size, size))


def _read_bytes(entry: Entry) -> bytes:
    if entry.fault:
        raise UnusableImage(entry.fault)
    return entry.read()
