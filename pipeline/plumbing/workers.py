"""Runs work in several processes. Their number does not change results."""

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain
from multiprocessing import active_children, parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType

from pipeline.plumbing.errors import UserError

_PAYS = 1.0  # seconds of remaining work from which processes are started
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


def usable_processors() -> int:
    """Returns the number of processors that this process may use (`taskset`, Slurm)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Workers:
    """A pool of as many processes as processors, started when there is enough work.

    with Workers() as workers:
        for result in workers.map(work, blocks): ...
    """

    def __init__(self, count: int | None = None):
        self.count = count or usable_processors()
        self.pool: ProcessPoolExecutor | None = None

    def map(self, work: Callable, blocks: Iterable[Sequence], total: int | None = None) -> Iterator:
        """Yields work(block) for each block, in order, with a few blocks submitted ahead.

        work: a function of a module with few imports, as every process imports it.
        total: sum of the lengths of all blocks, where `blocks` is no list.

        Raises what `work` raises; UserError where a process was killed.
        """
        if total is None and isinstance(blocks, Sized):
            total = sum(map(len, blocks))
        blocks = iter(blocks)
        start, done = time.perf_counter(), 0
        for block in blocks:
            if self.pool is None and self.count > 1 and done:
                left = time.perf_counter() - start
                if total is not None:
                    left *= (total - done) / done
                if left > _PAYS:
                    self.pool = ProcessPoolExecutor(self.count, _Context(), _begin)
            if self.pool is not None:
                yield from self._share(work, chain([block], blocks))
                return
            yield work(block)
            done += len(block)

    def _share(self, work: Callable, blocks: Iterable[Sequence]) -> Iterator:
        waiting = deque()
        try:
            for block in blocks:
                waiting.append(self.pool.submit(work, block))
                if len(waiting) > 2 * self.count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise UserError(
                "a process that shared the work was killed, most likely for want of memory; "
                "on fewer processors it needs less: taskset -c 0 dvc repro"
            ) from None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if self.pool is not None:
            if error is not None:  # their results are not needed
                for child in active_children():
                    child.kill()
            self.pool.shutdown(cancel_futures=True)


class _Process(SpawnProcess):
    def start(self) -> None:
        """Starts a process without the main module, which may import torch, and without Ctrl-C.

        The parent process handles Ctrl-C.
        """
        main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        is_main = threading.current_thread() is threading.main_thread()
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if is_main else None
        try:
            super().start()
        finally:
            sys.modules["__main__"] = main
            if is_main:
                signal.signal(signal.SIGINT, handler)


class _Context(SpawnContext):
    Process = _Process


def _begin() -> None:
    """Initialises a process: one thread for libraries, and an exit when the parent ends."""
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))

    def follow() -> None:
        parent_process().join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
