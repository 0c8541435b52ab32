"""What runs log, on the local disk first: written here at once, sent to MLflow by `store`.

Each run has a folder under .maskgit/spool, named by its key:

    records.jsonl   a line for each record, in order; the first one starts the run
    files/          copies of the files to be sent
    sent            how many bytes of records.jsonl MLflow has
    run_id          MLflow's id of the run
    alive           locked by the process that makes the run, for as long as it lives
    sending         locked by the process that sends
"""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout
from tqdm import tqdm

from pipeline.plumbing.files import project_root

KEPT = 20  # runs that did not finish and were sent: a training may go on with one


def spool_folder() -> Path:
    return project_root() / ".maskgit/spool"


class Spool:
    """The records of one run; `key` is our own name of it."""

    def __init__(self, folder: Path):
        self.folder, self.key = folder, folder.name
        self.sending = FileLock(folder / "sending", thread_local=False)
        self._alive = FileLock(folder / "alive", thread_local=False)
        self._records = folder / "records.jsonl"
        self._writing = threading.Lock()
        self._has_lost = False

    # Writing, by the process that makes the run

    def open(self) -> None:
        """Takes the run. Raises Timeout where another process has it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._alive.acquire(timeout=1)
        self._records.touch()
        whole = self._records.read_bytes().rfind(b"\n") + 1  # a kill may have cut the last line
        with self._records.open("r+b") as file:
            file.truncate(whole)

    def close(self) -> None:
        self._alive.release()

    def append(self, op: str, **content: object) -> None:
        """Adds a record and the time, in ms since 1970."""
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

    def append_file(self, op: str, name: str, fill: Callable[[Path], object], **content) -> None:
        """Adds a record with a file or folder, which `fill` writes at the path that it is given."""
        with self._losing_what_the_disk_refuses():
            path = self.folder / "files" / uuid4().hex / name
            path.parent.mkdir(parents=True)
            fill(path)
            self.append(op, file=path.relative_to(self.folder).as_posix(), **content)

    @contextmanager
    def _losing_what_the_disk_refuses(self) -> Iterator[None]:
        """A run never dies of its log; a line says, once, that the log has gaps."""
        try:
            yield
        except OSError as error:
            if not self._has_lost:
                tqdm.write(f"MLflow will miss a part of this run: {error}")
            self._has_lost = True

    # Reading

    def records(self, start: int = 0) -> list[tuple[int, dict]]:
        """The whole records from byte `start` on, each with the byte at which it ends."""
        try:
            with self._records.open("rb") as file:
                file.seek(start)
                lines = file.read().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        result = []
        for line in lines:
            if line.endswith(b"\n"):
                start += len(line)
                result.append((start, json.loads(line)))
        return result

    def first(self) -> dict:
        with self._records.open("rb") as file:
            return json.loads(file.readline())

    def waiting(self) -> list[tuple[int, dict]]:
        """The records that MLflow does not have."""
        return self.records(self._sent)

    @property
    def _sent(self) -> int:
        return int(self._read("sent") or 0)

    def mark_sent(self, end: int) -> None:
        self._write("sent", str(end))

    @property
    def run_id(self) -> str | None:
        return self._read("run_id")

    @run_id.setter
    def run_id(self, run_id: str) -> None:
        self._write("run_id", run_id)

    def _read(self, name: str) -> str | None:
        try:
            return (self.folder / name).read_text() or None
        except FileNotFoundError:
            return None

    def _write(self, name: str, text: str) -> None:
        """Whole or not at all; what a power cut takes from it is only sent or looked up again."""
        partial = self.folder / f"{name}.partial"
        partial.write_text(text)
        partial.replace(self.folder / name)

    # What other processes do with a run that has ended

    def bury(self) -> bool:
        """Whether the run has ended; one whose process is gone (kill -9) ends here, as KILLED."""
        if not self.records():
            return False  # it is about to start
        try:
            self._alive.acquire(blocking=False)
        except Timeout:
            return False
        try:
            records = self.records()
            if records and not self.has_ended():
                last = records[-1][1]["time"]  # when it was last seen
                self.append("end", status="KILLED", time=last)
        finally:
            self._alive.release()
        return True

    def has_ended(self) -> bool:
        return self.records()[-1][1]["op"] == "end"

    def tidy(self) -> None:
        """Removes what nobody needs of a run that has ended and is sent.

        The records of one that did not finish stay: a training that goes on with it looks there.
        """
        shutil.rmtree(self.folder / "files", ignore_errors=True)
        if self.records()[-1][1]["status"] == "FINISHED":
            shutil.rmtree(self.folder, ignore_errors=True)


def spools() -> list[Spool]:
    """All that there are, the oldest first."""
    found = [Spool(path) for path in spool_folder().glob("*")]
    begun = [spool for spool in found if spool.records()]
    return sorted(begun, key=lambda spool: spool.first()["time"])


def prune() -> None:
    """Removes all but the newest of the spools that have been sent."""
    sent = [spool for spool in spools() if spool.bury() and not spool.waiting()]
    for spool in sent:
        spool.tidy()
    for spool in sent[:-KEPT]:
        shutil.rmtree(spool.folder, ignore_errors=True)
