"""Reads files from untrusted sources: only regular ones, of limited size, inside their folder."""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from maskgit.data.image_files import NO_HEIC, UnusableImage

EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".png", ".apng", ".webp", ".bmp", ".gif"),
    *(".tif", ".tiff", ".avif", ".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc"),
)
PARQUET = ".parquet"  # its rows are limited in size, not the file
HEIC = (".heic", ".heif", ".hif")
SYSTEM_NAMES = ("__macosx", "thumbs.db", "desktop.ini")
MAX_FILE_MB = 100
LINK_OUT = "link that leads out of the source"
LINK_TO_FOLDER = "link to a folder"


@dataclass(frozen=True)
class Entry:
    """A file of a source and how to read it; `fault` says why it is not to be read."""

    file: str
    read: Callable[[], bytes]
    fault: str
    part: str = ""  # its folder in the lab's layout


def is_hidden(name: str) -> bool:
    """Returns whether a name is one that systems leave in folders, or that users do not see."""
    return (name.startswith(".") and name not in (".", "..")) or name.lower() in SYSTEM_NAMES


def not_a_picture(name: str) -> str:
    """Returns why a file of this name is not read, for a table."""
    heic = name.lower().endswith(HEIC)
    return NO_HEIC if heic else "not an image file"


def walk(
    root: Path, follow_links: bool, onerror: Callable[[OSError], None] | None = None
) -> Iterator[tuple[Path, list[str]]]:
    """Yields each folder at any depth with its names of files and links, without hidden ones.

    follow_links: also enters the folders outside of `root` that links lead to, each at most once.
    """
    own = {os.path.realpath(folder) for folder, _ in walk(root, False)} if follow_links else set()
    entered = set()
    for folder, folders, files in os.walk(root, onerror=onerror, followlinks=follow_links):
        names = [name for name in files if not is_hidden(name)]
        inner, folders[:] = sorted(name for name in folders if not is_hidden(name)), []
        for path in (Path(folder, name) for name in inner):
            real = os.path.realpath(path)
            if os.path.islink(path) and (not follow_links or real in own or real in entered):
                names.append(path.name)
            elif real not in entered:
                folders.append(path.name)
                entered.add(real)
        yield Path(folder), names


def list_folder(root: Path, follow_links: bool = False) -> list[Entry]:
    """Returns all files at any depth but the hidden ones, in no order.

    follow_links: reads what links lead to, wherever it lies. Without it, links to folders and links
    that lead out of `root` are faults.
    """
    root = root.resolve()
    entries = []

    def add(path: Path, fault: str) -> None:
        # A name that is no UTF-8 must still fit into a table.
        name = os.fsencode(path.relative_to(root)).decode(errors="backslashreplace")
        entries.append(Entry(Path(name).as_posix(), partial(read_file, path), fault))

    def unreadable(error: OSError) -> None:
        add(Path(error.filename), f"cannot be read: {error.strerror}")

    for folder, names in walk(root, follow_links, unreadable):
        for name in names:
            add(folder / name, file_fault(folder / name, root, follow_links))
    return entries


def leads_out(path: Path, root: Path) -> bool:
    """Returns whether a path leads out of the folder `root`, an absolute path without links."""
    return not Path(os.path.realpath(path)).is_relative_to(root)


def file_fault(path: Path, root: Path, follow_links: bool = False) -> str:
    """Returns why a file in the folder `root` is not to be read, or ''.

    root: an absolute path without links.
    """
    if os.path.islink(path) and os.path.isdir(path):
        return LINK_TO_FOLDER
    if not follow_links and leads_out(path, root):
        return LINK_OUT
    try:
        status = path.stat()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return status_fault(status, path.suffix.lower() != PARQUET)


def status_fault(status: os.stat_result, limited: bool = True) -> str:
    """Returns why a file of this kind and, if it is limited, size is not to be read, or ''."""
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    return size_fault(status.st_size) if limited else ""


def size_fault(size: int) -> str:
    """Returns why a file of so many bytes is not to be read, or ''."""
    return f"larger than {MAX_FILE_MB} MB" if size > MAX_FILE_MB * 10**6 else ""


def read_file(path: Path) -> bytes:
    """Reads a regular file of at most MAX_FILE_MB, without waiting for a pipe or device.

    Raises UnusableImage with the reason.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            fault = status_fault(os.fstat(file.fileno()))
            if not fault:
                return file.read()
    except OSError as error:
        fault = f"cannot be read: {error.strerror}"
    raise UnusableImage(fault)


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
