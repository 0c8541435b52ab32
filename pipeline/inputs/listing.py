"""Lists the files behind a path that a parameter names, with the hash of each.

A file that had this size and time when it was hashed before is not read again.
"""

import csv
import io
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from pipeline.inputs.dataset import LAB, LAB_MASKS
from pipeline.inputs.untrusted import leads_out, walk
from pipeline.plumbing.files import write_atomically
from pipeline.plumbing.hashing import file_hash
from pipeline.plumbing.places import project_root

SETTLED = 2  # seconds after which another write of the same size would show in a file's time
DESCRIPTIONS = (".yml", ".yaml")  # of a checkpoint, beside it


def files_behind(path: Path, follow_links: bool = True) -> list[Path]:
    """Returns a file and its description beside it, or all that is not hidden in a folder.

    Sorted. Of the lab's `cat_face/`, the masks beside it are a part. Pipes and devices are left
    out, and so is what cannot be followed. follow_links: see `list_folder`.
    """
    if path.is_dir():
        folders = [path]
        if path.resolve().name == LAB:
            folders.append(path.resolve().parent / LAB_MASKS)
        found = [file for folder in folders for file in _files_in(folder, follow_links)]
    else:
        found = [path, *(path.with_suffix(suffix) for suffix in DESCRIPTIONS)]
    return sorted(file for file in found if os.path.isfile(file))


def _files_in(folder: Path, follow_links: bool) -> Iterator[Path]:
    root = folder.resolve()
    for parent, names in walk(folder, follow_links):
        for path in (parent / name for name in names):
            if follow_links or not leads_out(path, root):
                yield path


class Hashes:
    """The sha256 of files by path, size and time: `known` holds what earlier runs found."""

    def __init__(self, known: dict[str, tuple[int, int, str]]):
        self.known = known

    def hash_of(self, file: Path) -> str:
        """Returns the sha256 of a file in hex. Raises OSError."""
        status = file.stat()
        key, mark = str(file.resolve()), (status.st_size, status.st_mtime_ns)
        if self.known.get(key, ())[:2] != mark:
            self.known[key] = (*mark, file_hash(file))
        return self.known[key][2]

    def listing(self, files: list[Path], root: Path) -> list[tuple[str, int, str]]:
        """Returns name (relative to `root`, with slashes), bytes and sha256 of each file.

        The hash of a file that cannot be read is empty. Bytes of a name that are no UTF-8 are
        escaped.
        """
        rows = []
        for file in tqdm(files, desc="look for changed files", unit="file", delay=2):
            name = os.fsencode(os.path.relpath(file, root)).decode(errors="backslashreplace")
            try:
                digest = self.hash_of(file)
            except PermissionError:
                digest = ""
            rows.append((name, file.stat().st_size, digest))
        return rows


@contextmanager
def hashes() -> Iterator[Hashes]:
    """Yields the hashes that earlier runs found; new ones are kept for the next run.

    They are stored in `.maskgit/` of the project, also after an error or a stop.
    """
    path = project_root() / ".maskgit/hashes.csv"
    known = {}
    if path.is_file():
        rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8", errors="surrogateescape")))
        known = {file: (int(size), int(when), digest) for file, size, when, digest in rows}
    before = dict(known)
    try:
        yield Hashes(known)
    finally:
        if known != before:
            now, text = time.time_ns(), io.StringIO()
            settled = (row for row in known.items() if now - row[1][1] > SETTLED * 10**9)
            csv.writer(text).writerows((file, *found) for file, found in settled)
            write_atomically(path, text.getvalue().encode("utf-8", errors="surrogateescape"))
