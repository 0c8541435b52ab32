"""Paths of the project's files, and their atomic writing, checking and hashing."""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.format import open_memmap
from pathspec import GitIgnoreSpec

from pipeline.plumbing.errors import UserError, disk_is_full

if TYPE_CHECKING:  # it takes a second to load, and the command line imports this module
    import pandas as pd

SOURCES = Path("data/sources")
PREPARED = Path("data/prepared")
TOKENS = Path("data/tokens")
TOKENIZER = Path("outputs/vqgan")
TRANSFORMER = Path("outputs/transformer")
MODEL_FOLDER = Path("outputs/model")  # both, and how they fill holes: see maskgit.model_folder
WEIGHTS = Path("weights")  # the model folder that is shipped with the project
INPAINTED = Path("outputs/inpaint")
REFERENCE = Path("outputs/reference")
REPORTS = Path("reports")
SCORES = REPORTS / "scores"
IMAGE_SCORES = Path("outputs/scores")
STUDY = Path("outputs/study")

MODEL = "model.safetensors"  # in TOKENIZER and in TRANSFORMER
UNCERTAINTY = "uncertainty.csv"  # in TRANSFORMER, for schedule `entropic`
STEPS_CSV = "steps.csv"  # beside filled images: how many steps each took
SUMS = "SHA256SUMS"  # in every folder that a stage makes, as `sha256sum --check` reads it
HOLES_CSV = "holes.csv"  # in PREPARED: kind and area of the holes to fill
IMAGES_CSV = "images.csv"  # scores image by image, in REFERENCE and in IMAGE_SCORES / SCHEDULE


def project_root() -> Path:
    """Returns the root of the project, even in temporary copies of `dvc exp run --temp` and queues.

    Files that git does not track are found there: the user's own files, MLflow's store.
    """
    return Path(os.environ.get("DVC_ROOT") or Path.cwd())


# Writing


@contextmanager
def path_in_errors(path: Path) -> Iterator[None]:
    """Adds a path to errors of a full disk, which do not name the file."""
    try:
        yield
    except OSError as error:
        if disk_is_full(error):
            error.filename = str(path)
        raise


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Writes a file atomically, by a temporary file beside it: the file is complete or absent."""
    partial = path.with_name(path.name + ".partial")
    with path_in_errors(path):
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
    """Yields an empty folder that replaces `path` when the block ends without an error."""
    partial = partial_path(path)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with path_in_errors(path):
            partial.mkdir(parents=True)
            yield partial
            write_sums(partial)
        shutil.rmtree(path, ignore_errors=True)
        partial.rename(path)
    finally:  # after an error or a stop no partial folder is left
        shutil.rmtree(partial, ignore_errors=True)


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


def write_sums(folder: Path) -> None:
    """Writes SHA256SUMS of a folder's files."""
    files = (file for file in files_in(folder) if file != folder / SUMS)
    sums = "".join(f"{file_hash(f)}  {f.relative_to(folder).as_posix()}\n" for f in files)
    (folder / SUMS).write_text(sums, encoding="utf-8")


# Reading


def verify_checksum(path: Path) -> None:
    """Checks a file against SHA256SUMS beside it. Raises UserError if it is missing or differs.

    A file without SHA256SUMS beside it passes.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist; run 'dvc repro' to make it")
    sums = path.with_name(SUMS)
    if (
        sums.is_file()
        and f"{file_hash(path)}  {path.name}" not in sums.read_text(encoding="utf-8").splitlines()
    ):
        raise UserError(f"{path} is damaged: its checksum differs; 'dvc repro' makes it again")


def read_table(path: Path) -> "pd.DataFrame":
    """Reads a table that a stage wrote. Raises UserError where it is missing or damaged."""
    import pandas as pd

    verify_checksum(path)
    try:
        return pd.read_csv(path)
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


def results_folder(fill: int = 0) -> str:
    """Returns the folder of a method's filled images; the first fill's has the lab's name."""
    return f"test_results_{fill + 1}" if fill else "test_results"


def file_hash(path: Path) -> str:
    """Returns the sha256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_in(folder: Path) -> list[Path]:
    """Returns all files at any depth, sorted, without those that `.dvcignore` excludes."""
    rules = Path(".dvcignore")
    hidden = GitIgnoreSpec.from_lines(
        rules.read_text(encoding="utf-8").splitlines() if rules.is_file() else []
    )
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(p for p in found if not hidden.match_file(p.relative_to(folder).as_posix()))


def content_hash(path: Path) -> str:
    """Returns the sha256 of a file, or of the names and contents of a folder's files, in hex."""
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else files_in(path):
        digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        digest.update(bytes.fromhex(file_hash(file)))
    return digest.hexdigest()
