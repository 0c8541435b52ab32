"""Work shared among processes. Their number, the machine's affair, changes no result."""

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

_PAYS = 1.0  # seconds of work still to do, from which processes are worth their start
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


def usable_processors() -> int:
    """Those that this process may use (`taskset`, Slurm), where the system can tell."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Workers:
    """As many processes as processors, started at the first work that is worth it.

    with Workers() as workers:
        for result in workers.map(work, blocks): ...
    """

    def __init__(self, count: int | None = None):
        self.count = count or usable_processors()
        self.pool: ProcessPoolExecutor | None = None

    def map(self, work: Callable, blocks: Iterable[Sequence], total: int | None = None) -> Iterator:
        """work(block) for each block, in order; a few blocks are on their way at a time.

        work: a function of a module that loads little, as every process loads it.
        total: of the lengths of all blocks, where `blocks` is no list.

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
            if error is not None:  # nobody waits for what they are doing
                for child in active_children():
                    child.kill()
            self.pool.shutdown(cancel_futures=True)


class _Process(SpawnProcess):
    def start(self) -> None:
        """What it takes over from us: no main module, which may load torch and all, and deaf ears
        for Ctrl-C, which we hear for it."""
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
    """What a new process does first, before it loads any work."""
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))

    def follow() -> None:
        parent_process().join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
