"""Stores what a run logs on the local disk, before MLflow has it.

Each run that MLflow does not hold completely has a folder under .maskgit/spool, named by its key:

    records.jsonl   a line for each record, in order; the first one starts the run
    files/          copies of the files to be sent
    alive           locked by the process that makes the run; later by the one that sends it
"""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout
from tqdm import tqdm

from pipeline.plumbing.places import project_root

RECORDS = "records.jsonl"


def spool_folder() -> Path:
    """Returns the folder of all spools."""
    return project_root() / ".maskgit/spool"


class Spool:
    """The records of one run; `key` is the project's own name of the run."""

    def __init__(self, key: str):
        self.key, self.folder = key, spool_folder() / key
        self._alive = FileLock(self.folder / "alive", thread_local=False)
        self._records = self.folder / RECORDS
        self._writing = threading.Lock()
        self._has_lost = False

    def open(self, patience: float) -> None:
        """Locks the run for this process. Raises Timeout where another process holds it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._alive.acquire(timeout=patience)
        if self._records.exists():
            whole = self._records.read_bytes().rfind(b"\n") + 1  # a kill may cut the last line
            with self._records.open("r+b") as file:
                file.truncate(whole)

    def close(self) -> None:
        """Unlocks the run."""
        self._alive.release()

    def append(self, op: str, **content: object) -> None:
        """Adds a record with the time, in ms since 1970."""
        record = {"op": op, "time": int(time.time() * 1000)} | content
        line = (json.dumps(record) + "\n").encode()
        with (
            self._losing_what_the_disk_refuses(),
            self._writing,
            self._records.open("ab", buffering=0) as file,
        ):
            start = file.tell()
            if file.write(line) < len(line):
                file.truncate(start)
                raise OSError("the disk is full")

    def append_file(self, name: str, fill: Callable[[Path], object], folder: str = "") -> None:
        """Adds a record with a file or folder, which `fill` writes to the path that it is given."""
        with self._losing_what_the_disk_refuses():
            path = self.folder / "files" / uuid4().hex / name
            path.parent.mkdir(parents=True)
            fill(path)
            file = path.relative_to(self.folder).as_posix()
            self.append("file", file=file, folder=folder)

    @contextmanager
    def _losing_what_the_disk_refuses(self) -> Iterator[None]:
        """Prints one line when records are lost on a full disk, and lets the run go on."""
        try:
            yield
        except OSError as error:
            if not self._has_lost:
                tqdm.write(f"MLflow will miss a part of this run: {error}")
            self._has_lost = True

    def records(self) -> list[dict]:
        """Returns all complete records; none where there is no such spool."""
        try:
            lines = self._records.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines if line.endswith(b"\n")]

    def remove(self) -> None:
        """Removes the spool, once MLflow holds the whole run.

        The records are removed first, since a spool is found by them.
        """
        self._records.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def ended_spools(store: str | None = None) -> Iterator[Spool]:
    """Yields the spools of runs that have ended, of one store or all, each locked by this process.

    A run whose process was killed (kill -9) is ended here, as KILLED.
    """
    for path in sorted(spool_folder().glob(f"*/{RECORDS}")):
        spool = Spool(path.parent.name)
        with suppress(Timeout):
            spool.open(patience=0)
            try:
                records = spool.records()
                if not records:  # another process has just sent them
                    spool.remove()
                elif store in (None, records[0]["store"]):
                    if records[-1]["op"] != "end":
                        spool.append("end", status="KILLED", time=records[-1]["time"])
                    yield spool
            finally:
                spool.close()
