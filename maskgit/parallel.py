"""Divides work on a batch, so that no result depends on the batch size or the number of cores."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool
from typing import TypeVar

import torch
from torch import Tensor

from maskgit.device import GPU_BATCH

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def batch_invariant_chunks(batch: Tensor) -> tuple[Tensor, ...]:
    """Splits a batch so that no result depends on the batch size: a processor gets single rows.

    Threads divide a convolution or a norm differently in a batch of another size, which changes the
    last bits of the result. A GPU gets chunks of GPU_BATCH rows, since it is slow with single rows,
    and its results may depend on the batch size.
    """
    return batch.split(1 if batch.device.type == "cpu" else GPU_BATCH)


@contextmanager
def parallel_map(
    work: Callable[[Piece], Result], pieces: Sequence[Piece], device: torch.device
) -> Iterator[Iterator[Result]]:
    """Yields the results of work(piece), in order; on a processor one thread a core computes them.

    A single picture is too little work for several cores. With one thread for each picture no
    result depends on the number of cores. When the block ends, by an exception too, all threads
    have ended.
    """
    if device.type != "cpu":
        yield map(work, pieces)
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    pool = ThreadPool(threads)  # ThreadPoolExecutor loses a thread if a stop comes as it starts
    try:
        yield pool.imap(work, pieces)
    finally:
        pool.terminate()
        pool.join()
        torch.set_num_threads(threads)
