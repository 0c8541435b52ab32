"""Reads the pictures that the user points at: a folder, a zip or the lab's layout.

The lab's layout is `cat_face/{train,val,test}` with `mask64/` beside `cat_face`, in a folder or in
a zip. It alone says which split a picture belongs to.
"""

import errno
import hashlib
import lzma
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from maskgit.images import UnusableImage, decode_image, to_square
from pipeline.errors import UserError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
SYSTEM_NAMES = ("__macosx", "thumbs.db", "desktop.ini")
MAX_FILE_MB = 100
_BITE = 4096  # bytes

LAB = "cat_face"
LAB_SPLITS = ("train", "val", "test")
LAB_MASKED = "masked_image"  # test pictures with the holes painted in, of no use here
LAB_MASKS = "mask64"
LAB_FOLDERS = (*LAB_SPLITS, LAB_MASKED)

_EXPECTED = (
    "expected a folder of images, a zip of images, "
    f"or the lab layout {LAB}/{{{','.join(LAB_SPLITS)}}} with {LAB_MASKS}/"
)
# What zipfile lets through from damaged bytes: NotImplementedError for a compression method or
# version that it does not know, ValueError and OSError for offsets outside the file, struct.error
# for records cut short. An OSError may also be the disk's own: see _disk_failed.
_CORRUPT_ZIP = (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error)
_CORRUPT_ENTRY = (*_CORRUPT_ZIP, RuntimeError, EOFError, zlib.error, lzma.LZMAError)


class SourceError(UserError):
    """The source cannot be used; the message names the fault and the mend in one line."""


@dataclass(frozen=True)
class SourceImage:
    """One file of the source.

    Attributes:
        file: its path relative to the source, with forward slashes.
        sha256: of the file's bytes, in hex; '' where they were not read.
        pixels: uint8 RGB (size, size, 3), None where the file is unusable.
        reason: why it is unusable, '' where it is usable.
        split: train, val or test where the lab's layout says so, else ''.
    """

    file: str
    sha256: str
    pixels: np.ndarray | None
    reason: str
    split: str


@dataclass(frozen=True)
class _Entry:
    """A file of the source: how to read it, or in `fault` why not to; its folder of the lab."""

    file: str
    read: Callable[[], bytes]
    fault: str
    part: str = ""


def read_source(source: Path, size: int, fit: str, min_side: int) -> Iterator[SourceImage]:
    """Yield every file of the source, one at a time, in natural order of the names.

    Passed over are hidden files, what operating systems leave behind, and the lab's masks. Any
    other file that gives no picture comes with its reason. Nothing is unpacked to disk.

    Args:
        source: a folder (read with all that lies in it), a zip, or either in the lab's layout.
        size: side of the resulting pictures.
        fit: 'crop' or 'pad', how a picture that is not square becomes one.
        min_side: pictures with a shorter side are unusable.

    Raises:
        SourceError: there is no such source, or it is corrupt, or holds no image files.
    """
    with _open_source(source) as entries:
        for entry in _pictures(entries):
            yield _read_image(entry, size, fit, min_side)


def count_source(source: Path) -> int:
    """Count what `read_source` yields, without reading it; raises SourceError alike."""
    with _open_source(source) as entries:
        return len(_pictures(entries))


def read_lab_masks(source: Path, size: int) -> np.ndarray | None:
    """Read the hole masks of the lab's layout, in natural order of their names.

    The lab's files are white where the picture is known; the result is the other way round.

    Args:
        source: as for `read_source`; for the folder `cat_face` itself the masks lie beside it.
        size: side of the resulting masks.

    Returns:
        bool (N, size, size), True = hole; None where the source is not the lab's or has no masks.

    Raises:
        SourceError: the source cannot be used, or one of its masks cannot be read.
    """
    with _open_source(source) as entries:
        if not _is_lab(entries):
            return None
        masks = [entry for entry in entries if entry.part == LAB_MASKS]
        beside = source.resolve().parent / LAB_MASKS
        if not masks and source.is_dir() and _is_cat_face(source) and beside.is_dir():
            masks = _in_order(_list_folder(beside))
        holes = [_read_hole(entry, size) for entry in masks if _has_image_name(entry)]
    return np.stack(holes) if holes else None


# Listing


@contextmanager
def _open_source(source: Path) -> Iterator[list[_Entry]]:
    """The source's files in natural order, readable until the context is left."""
    if not source.exists():
        raise SourceError(f"{source} does not exist: {_EXPECTED}")
    if source.is_dir():
        yield _checked(_list_folder(source), source)
    elif not source.is_file():  # a pipe would never answer
        raise SourceError(f"{source} is not a regular file: {_EXPECTED}")
    elif zipfile.is_zipfile(source) or source.suffix.lower() == ".zip":
        try:
            archive = zipfile.ZipFile(source)
        except PermissionError:
            raise SourceError(f"{source} may not be read: change its permissions") from None
        except _CORRUPT_ZIP as error:
            if _disk_failed(error):
                raise SourceError(f"{source} cannot be read: {error.strerror}") from None
            raise SourceError(f"{source} is a corrupt zip ({error}): fetch it again") from None
        with archive:
            yield _checked(_list_zip(archive), source)
    else:
        raise SourceError(f"{source} is neither a folder nor a zip: {_EXPECTED}")


def _checked(entries: list[_Entry], source: Path) -> list[_Entry]:
    if not any(map(_has_image_name, entries)):
        raise SourceError(f"{source} holds no image files ({' '.join(EXTENSIONS)}): {_EXPECTED}")
    above = LAB if _is_cat_face(source) else ""
    return [replace(entry, part=_lab_part(entry.file, above)) for entry in _in_order(entries)]


def _list_folder(root: Path) -> list[_Entry]:
    root = root.resolve()
    entries = []

    def add(path: Path, fault: str) -> None:
        # A name that is no UTF-8 must still fit into a table.
        name = os.fsencode(path.relative_to(root)).decode(errors="backslashreplace")
        entries.append(_Entry(Path(name).as_posix(), partial(read_file, path), fault))

    def unreadable(error: OSError) -> None:
        add(Path(error.filename), f"cannot be read: {error.strerror}")

    for folder, folders, files in os.walk(root, onerror=unreadable):
        folders[:] = [name for name in folders if not is_hidden(name)]
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in files + links:
            if not is_hidden(name):
                add(Path(folder, name), file_fault(Path(folder, name), root))
    return entries


def file_fault(path: Path, root: Path) -> str:
    """Why a file in the folder `root`, an absolute path without links, is not to be read, or ''."""
    if path.is_symlink() and path.is_dir():
        return "link to a folder"
    if not Path(os.path.realpath(path)).is_relative_to(root):
        return "link that leads out of the source"
    try:
        status = path.stat()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return _status_fault(status)


def _status_fault(status: os.stat_result) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    return _size_fault(status.st_size)


def _list_zip(archive: zipfile.ZipFile) -> list[_Entry]:
    entries, overlapping = [], _overlapping(archive.infolist())
    for info in archive.infolist():
        file = info.filename.replace("\\", "/")
        if not file.endswith("/") and not any(map(is_hidden, file.split("/"))):
            overlap = "overlaps another file of the zip" if id(info) in overlapping else ""
            fault = _zip_fault(info) or overlap
            entries.append(_Entry(file, partial(_read_zipped, archive, info), fault))
    return entries


def _overlapping(infos: list[zipfile.ZipInfo]) -> set[int]:
    """The entries that share bytes with another, by id: a bomb that unpacks the same data again
    and again (Fifield, "A better zip bomb", 2019)."""
    found, end, last = set(), -1, None
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            found |= {id(info), id(last)}
        if info.header_offset + info.compress_size >= end:
            end, last = info.header_offset + info.compress_size, info
    return found


def _zip_fault(info: zipfile.ZipInfo) -> str:
    if re.match(r"[/\\]|[A-Za-z]:", info.filename) or ".." in re.split(r"[/\\]", info.filename):
        return "path that leads out of the zip"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "link in the zip"
    if info.flag_bits & 1:
        return "encrypted"
    if info.compress_type == zipfile.ZIP_BZIP2:  # a kilobyte may hold gigabytes
        return "packed with bzip2; use deflate"
    return _size_fault(info.file_size)


def _size_fault(size: int) -> str:
    return f"larger than {MAX_FILE_MB} MB" if size > MAX_FILE_MB * 10**6 else ""


def is_hidden(name: str) -> bool:
    """What systems leave in folders, and what their users do not see."""
    return (name.startswith(".") and name not in (".", "..")) or name.lower() in SYSTEM_NAMES


def _has_image_name(entry: _Entry) -> bool:
    return entry.file.lower().endswith(EXTENSIONS)


def _in_order(entries: list[_Entry]) -> list[_Entry]:
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
    """The lab's folder that holds the file, '' for any other; `above` is the source's own name."""
    for parent, folder in pairwise((above, *PurePosixPath(file).parent.parts)):
        if folder == LAB_MASKS or (parent == LAB and folder in LAB_FOLDERS):
            return folder
    return ""


def _is_lab(entries: list[_Entry]) -> bool:
    return any(entry.part in LAB_SPLITS for entry in entries)


def _pictures(entries: list[_Entry]) -> list[_Entry]:
    """The entries that `read_source` yields, with every fault that shows without reading."""
    is_lab = _is_lab(entries)
    pictures = []
    for entry in entries:
        if is_lab and entry.part in (LAB_MASKS, LAB_MASKED):
            continue
        fault = entry.fault
        if not _has_image_name(entry):
            fault = fault or "not an image file"
        elif is_lab and not entry.part:
            fault = fault or f"outside {', '.join(LAB_SPLITS)}"
        pictures.append(replace(entry, fault=fault, part=entry.part if is_lab else ""))
    return pictures


# Reading


def _read_image(entry: _Entry, size: int, fit: str, min_side: int) -> SourceImage:
    digest = ""
    try:
        data = _read_bytes(entry)
        digest = hashlib.sha256(data).hexdigest()
        image = decode_image(data)
        if min(image.shape[:2]) < min_side:
            raise UnusableImage(f"smaller than {min_side} px")
    except UnusableImage as unusable:
        return SourceImage(entry.file, digest, None, str(unusable), entry.part)
    return SourceImage(entry.file, digest, to_square(image, size, fit), "", entry.part)


def _read_hole(entry: _Entry, size: int) -> np.ndarray:
    try:
        mask = decode_image(_read_bytes(entry))
    except UnusableImage as unusable:
        raise SourceError(f"mask {entry.file!r}: {unusable}; replace this file") from None
    # as bytes: Pillow resizes booleans to bytes of 255, which other libraries take for 255, not 1
    hole = Image.fromarray((mask.mean(axis=2) < 128).astype(np.uint8))
    return np.asarray(hole.resize((size, size), Image.Resampling.NEAREST)) == 1


def _read_bytes(entry: _Entry) -> bytes:
    if entry.fault:
        raise UnusableImage(entry.fault)
    return entry.read()


def read_file(path: Path) -> bytes:
    """The bytes of a regular file of at most MAX_FILE_MB; a pipe or device is not waited for.

    Raises UnusableImage with the reason.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            fault = _status_fault(os.fstat(file.fileno()))
            if not fault:
                return file.read()
    except OSError as error:
        fault = f"cannot be read: {error.strerror}"
    raise UnusableImage(fault)


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read_zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(info) as file:
            # In small bites: read at once, a lying entry of a kilobyte unpacks to gigabytes.
            return b"".join(iter(partial(file.read, _BITE), b""))
    except _CORRUPT_ENTRY as error:
        fault = f"cannot be read: {error.strerror}" if _disk_failed(error) else "damaged in the zip"
        raise UnusableImage(fault) from None


def _disk_failed(error: Exception) -> bool:
    """False for what damaged bytes cause: bad offsets (EINVAL), bad bzip2 data (no number)."""
    return isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)
