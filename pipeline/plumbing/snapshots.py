"""Saves snapshots of trainings, from which a training that was killed resumes.

A snapshot is outside DVC's outputs, which DVC deletes before a stage runs. (`persist` would keep it
when parameters change, and switch the run cache off.) It belongs to a fingerprint: of the stage's
parameters, its dependencies in dvc.yaml (data and code), torch, the kind of processor, and the
number of processes. A snapshot with another fingerprint is never used.
"""

import hashlib
import io
import json
import os
import pickle
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from tqdm import tqdm

from maskgit import ranks
from maskgit.device import best_device, bf16_is_faster
from pipeline.plumbing.entry import declared
from pipeline.plumbing.errors import UserError, disk_is_full
from pipeline.plumbing.files import write_atomically
from pipeline.plumbing.hashing import content_hash
from pipeline.plumbing.launch import cuda_graphs
from pipeline.plumbing.places import project_root

VARIABLE = "MASKGIT_SNAPSHOT_SECONDS"
SECONDS = 30.0  # between snapshots, where the variable says nothing else
SHARE = 0.05  # at most, of the time of a training, is spent on snapshots
KEPT = 16  # trainings that are not running, the newest of all stages and fingerprints
DIGEST = 32  # bytes of the sha256 at the start of a file, of what torch.save wrote after it


def folder() -> Path:
    """Returns the folder of all snapshots."""
    return project_root() / ".maskgit/snapshots"


def fingerprint(stage: str, values: dict) -> str:
    """Returns the sha256, in hex, of everything that determines a stage's training."""
    hashes = {dep: content_hash(Path(dep)) for dep in declared(stage)["deps"]}
    device = best_device()
    processor = torch.backends.cpu.get_cpu_capability(), bf16_is_faster(device)
    machine = [torch.__version__, device.type, *processor, ranks.world_size()]
    decides = [stage, values, hashes, *machine, cuda_graphs()]  # the last changes optimisers' state
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def seconds_between() -> float:
    """Returns the seconds between two snapshots. Raises UserError."""
    asked = os.environ.get(VARIABLE, SECONDS)
    try:
        return float(asked)
    except ValueError:
        raise UserError(f"{VARIABLE} has to be a number of seconds, now {asked!r}") from None


class Snapshots:
    """Snapshots of one training; `found` is the content of the last one, None without.

    `path` is None where another process saves them: the first rank, or one that does the same
    training at the same time.
    """

    def __init__(self, path: Path | None, fingerprint: str):
        self.path, self.fingerprint = path, fingerprint
        self.found = read(path, fingerprint) if path else None
        self.seconds = seconds_between()
        self.next = time.monotonic() + self.seconds

    @property
    def run_key(self) -> str | None:
        """The key of the MLflow run that a resumed training continues."""
        return self.found["run"] if self.found else None

    def due(self) -> bool:
        """Returns whether it is time for the next snapshot."""
        return self.path is not None and time.monotonic() >= self.next

    def save(self, content: dict) -> bool:
        """Saves a snapshot; returns whether it did. On a full disk it prints a message."""
        if self.path is None:
            return False
        start = time.monotonic()
        buffer = io.BytesIO(bytes(DIGEST))
        buffer.seek(DIGEST)
        torch.save({"fingerprint": self.fingerprint, "content": content}, buffer)
        buffer.seek(0)
        buffer.write(hashlib.sha256(buffer.getbuffer()[DIGEST:]).digest())
        try:
            write_atomically(self.path, buffer.getbuffer())
            saved = True
        except OSError as error:
            if not disk_is_full(error):
                raise
            tqdm.write(f"no snapshot was kept: the disk is full ({self.path})")
            saved = False
        end = time.monotonic()
        self.next = end + max(self.seconds, (end - start) / SHARE)
        return saved


def read(path: Path, fingerprint: str) -> dict | None:
    """Returns a snapshot's content, or None; a file that is unusable is renamed, with a message."""
    if not path.is_file():
        return None
    data = path.read_bytes()
    try:
        if hashlib.sha256(data[DIGEST:]).digest() != data[:DIGEST]:
            raise ValueError("its checksum differs")
        kept = torch.load(io.BytesIO(data[DIGEST:]), map_location="cpu", weights_only=True)
        if kept["fingerprint"] != fingerprint:
            raise ValueError("it is of other parameters, data or code")
        return kept["content"]
    except ValueError as error:
        fault = str(error)
    except (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, TypeError):
        fault = "it holds something else than a training"
    aside = path.with_suffix(".refused")
    path.replace(aside)
    print(f"the snapshot {path.name} is not used: {fault}; it is now {aside}")
    return None


def prune(keep: str) -> None:
    """Deletes the snapshots of all trainings but the newest, those that run, and `keep`."""
    kept = [path for path in folder().iterdir() if path.suffix != ".lock"]
    newest = sorted(kept, key=time_of, reverse=True)
    names = dict.fromkeys([keep, *(path.name.split(".")[0] for path in newest)])
    for name in list(names)[KEPT:]:
        with suppress(Timeout), FileLock(folder() / f"{name}.lock", timeout=0):
            for path in newest:
                if path.name.split(".")[0] == name:
                    path.unlink(missing_ok=True)


def time_of(path: Path) -> float:
    """Returns when a file was written; 0 where its training has renamed it meanwhile."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


@contextmanager
def snapshots_of(stage: str, values: dict) -> Iterator[Snapshots]:
    """Yields the snapshots of a stage with these parameters; deletes them when it has finished."""
    mark = fingerprint(stage, values)
    if ranks.rank():
        yield Snapshots(None, mark)
        return
    path = folder() / f"{stage}-{mark[:16]}.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    prune(keep=path.stem)
    lock = FileLock(path.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print("another process is at the same training; this one keeps no snapshots")
        yield Snapshots(None, mark)
        return
    try:
        yield Snapshots(path, mark)
        path.unlink(missing_ok=True)
    finally:
        lock.release()
