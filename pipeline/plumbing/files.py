"""Reads what stages wrote, and writes files atomically: complete or absent."""

import json
import math
import os
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.format import open_memmap

from pipeline.plumbing.errors import UserError, disk_is_full
from pipeline.plumbing.hashing import verify_checksum, write_sums
from pipeline.plumbing.places import PREPARED

if TYPE_CHECKING:  # it takes a second to load, and the command line imports this module
    import pandas as pd

# Writing


@contextmanager
def path_in_errors(path: Path, partial: Path) -> Iterator[None]:
    """Names a path in errors of its temporary one, and of a full disk, which name no file."""
    try:
        yield
    except OSError as error:
        if disk_is_full(error) or error.filename == str(partial):
            error.filename = str(path)
        raise


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Writes a file atomically, by a temporary file beside it: the file is complete or absent.

    Of two that write it at the same time the last one wins.
    """
    partial = path.with_name(f".{os.getpid()}-{threading.get_ident()}.partial")
    with path_in_errors(path, partial):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Writes a table as CSV, atomically."""
    write_atomically(path, table.to_csv(index=False).encode())


def json_text(record: Mapping[str, object]) -> str:
    """Returns a flat record as JSON, which has no NaN: a number that does not exist is null."""
    values = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in record.items()
    }
    return json.dumps(values, indent=2, allow_nan=False) + "\n"


def partial_path(path: Path) -> Path:
    """Returns the temporary path of a folder or file until it is complete."""
    return path.with_name(path.name + ".partial")


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """Yields a folder as `whole_folder`, and adds the checksums of its files."""
    with whole_folder(path) as folder:
        yield folder
        write_sums(folder)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yields an empty folder that replaces `path` when the block ends without an error."""
    partial = partial_path(path)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with path_in_errors(path, partial):
            partial.mkdir(parents=True)
            yield partial
        shutil.rmtree(path, ignore_errors=True)
        partial.rename(path)
    finally:  # after an error or a stop no partial folder is left
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yields a folder whose files are moved into `path` when the block ends without an error.

    For a path that a user names. An empty folder stays the same one: it may be a mount, and a shell
    may stand in it. Raises UserError where the path is anything else.
    """
    is_new = not path.exists()
    if not is_new and not (path.is_dir() and not any(path.iterdir())):
        raise UserError(f"{path} exists and is not an empty folder; name another")
    try:
        path.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".", dir=path) as partial:
            with path_in_errors(path, Path(partial)):
                yield Path(partial)
            for each in list(Path(partial).iterdir()):
                each.rename(path / each.name)
    except BaseException:
        if is_new:
            shutil.rmtree(path, ignore_errors=True)
        raise


def check_writable(files: Iterable[Path]) -> None:
    """Raises UserError where files could not be written, before their content takes minutes.

    Of a folder that is yet to be made, the nearest that is there is checked.
    """
    for folder in {file.absolute().parent for file in files}:
        there = next(place for place in (folder, *folder.parents) if place.exists())
        if not there.is_dir():
            raise UserError(f"{there} is a file; name a folder for the results")
        if not os.access(there, os.W_OK):
            raise UserError(f"{there}: no permission to write into it; name another folder")


def save_array(path: Path, array: np.ndarray) -> None:
    """Writes an array as np.save does, with an error that says why it could not."""
    out = new_array(path, array.dtype, array.shape)
    out[...] = array
    out.flush()


def new_array(path: Path, dtype: np.dtype | type, shape: tuple[int, ...]) -> np.memmap:
    """Creates a memory-mapped array. Raises OSError where the disk has no room for it.

    The space is allocated at once, since writing to a map on a full disk kills the process
    (SIGBUS).
    """
    array = open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


class StoredArray:
    """The first rows of a .npy file, indexed as an array; pickled as a path.

    array: memory map (count, ...).
    """

    def __init__(self, path: Path, count: int):
        self.path = path
        self.array = np.load(path, mmap_mode="r")[:count]

    def __reduce__(self):
        return StoredArray, (self.path, len(self))

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, key) -> np.ndarray:
        return self.array[key]


# Reading

NAMES = "set", "kind", "mask"  # columns of names, which may be numbers: a folder of masks, '2024'


def read_table(path: Path) -> "pd.DataFrame":
    """Reads a table that a stage wrote. Raises UserError where it is missing or damaged."""
    import pandas as pd

    verify_checksum(path)
    try:
        return pd.read_csv(path, dtype=dict.fromkeys(NAMES, str))
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); 'dvc repro' makes it again") from None


def load_array(path: Path, mmap_mode: str | None = None) -> np.ndarray:
    """Reads an array that a stage wrote. Raises UserError where it is missing or damaged."""
    verify_checksum(path)
    try:
        return np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{path} cannot be read ({error}); 'dvc repro' makes it again") from None


def load_task(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads images of the val or test split, uint8 (N, H, W, 3), and holes, bool (N, H, W)."""
    return load_array(PREPARED / f"{split}.npy"), load_array(PREPARED / f"{split}_holes.npy")
