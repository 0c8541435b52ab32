"""Divides work on a batch, so that no result depends on the batch size or the number of cores."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool
from typing import TypeVar

import torch
from torch import Tensor

from maskgit.device import GPU_BATCH

Piece = TypeVar("Piece")
Result = TypeVar("Result")

WRITERS, WAITING = 8, 16  # threads of `background`, and pieces of work for them


def batch_invariant_chunks(batch: Tensor) -> tuple[Tensor, ...]:
    """Splits a batch so that no result depends on the batch size: a processor gets single rows.

    Threads divide a convolution or a norm differently in a batch of another size, which changes the
    last bits of the result. A GPU gets chunks of GPU_BATCH rows, since it is slow with single rows,
    and its results may depend on the batch size.
    """
    return batch.split(1 if batch.device.type == "cpu" else GPU_BATCH)


def in_pairs(network: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """Returns network(*inputs), by two rows at a time on a processor, by GPU_BATCH on a GPU.

    As with `batch_invariant_chunks` no result depends on the batch size: an odd row is paired with
    itself. Two rows at once took three quarters of the time of two single ones.
    """
    count, rows = len(inputs[0]), 2 if inputs[0].device.type == "cpu" else GPU_BATCH
    if rows == 2 and count % 2:
        inputs = tuple(torch.cat([each, each[-1:]]) for each in inputs)
    chunks = zip(*[each.split(rows) for each in inputs], strict=True)
    return torch.cat([network(*chunk) for chunk in chunks])[:count]


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


@contextmanager
def background(device: torch.device) -> Iterator[Callable[..., None]]:
    """Yields run(work, *arguments), which on a GPU returns at once and works in a thread.

    So the device goes on while, for instance, pictures are written. No more than WAITING pieces
    wait. The block ends when all are done, and raises what the first to fail has raised; when it
    ends by an exception, pieces that have not begun are left out. On a processor, whose threads are
    busy (`parallel_map`), the work is done at once.
    """
    if device.type == "cpu":
        yield lambda work, *arguments: work(*arguments)
        return
    waiting = deque()
    pool = ThreadPool(min(WRITERS, os.cpu_count() or 1))

    def run(work: Callable[..., object], *arguments: object) -> None:
        if len(waiting) == WAITING:
            waiting.popleft().get()
        waiting.append(pool.apply_async(work, arguments))

    try:
        yield run
        for piece in waiting:
            piece.get()
    finally:
        pool.terminate()
        pool.join()
