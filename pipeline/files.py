"""Where everything lies, and how it gets there whole."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

PREPARED = Path("data/prepared")
TOKENS = Path("data/tokens")
TOKENIZER = Path("outputs/vqgan")
TRANSFORMER = Path("outputs/transformer")
INPAINTED = Path("outputs/inpaint")
REFERENCE = Path("outputs/reference")
REPORTS = Path("reports")
SCORES = REPORTS / "scores"
IMAGE_SCORES = Path("outputs/scores")

MODEL = "model.safetensors"  # in TOKENIZER and in TRANSFORMER
IMAGES_CSV = "images.csv"  # scores image by image, in REFERENCE and in IMAGE_SCORES / SCHEDULE


def project_root() -> Path:
    """The real project, also inside the throw-away copies of `dvc exp run --temp` and queues.

    Whatever git does not track is found through it: the user's own files, MLflow's store.
    """
    return Path(os.environ.get("DVC_ROOT") or Path.cwd())


def load_task(split: str) -> tuple[np.ndarray, np.ndarray]:
    """The images of the val or test split, uint8 (N, H, W, 3), and their holes, bool (N, H, W)."""
    return np.load(PREPARED / f"{split}.npy"), np.load(PREPARED / f"{split}_holes.npy")


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """An empty folder to write into; it takes its place only when all has been written."""
    partial = path.with_name(path.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        shutil.rmtree(path, ignore_errors=True)
        partial.rename(path)
    finally:  # whatever stopped the stage, Ctrl-C too: nothing half-written stays
        shutil.rmtree(partial, ignore_errors=True)


def content_hash(path: Path) -> str:
    """sha256 over a file, or over the names and contents of a folder's files."""
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
