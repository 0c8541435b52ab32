"""Chooses the device and its precision, and brings images to it as tensors."""

import ctypes
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

Piece = TypeVar("Piece")
Result = TypeVar("Result")
Function = TypeVar("Function", bound=Callable)

DEVICE = "MASKGIT_DEVICE"  # the environment variable of `best_device`
WRITERS, WAITING = 8, 16  # threads of `background`, and pieces of work for them
GPU_BATCH = 256  # images that pass through a network together on a GPU, outside training


def best_device() -> torch.device:
    """Returns the GPU where there is one, else the processor.

    An NVIDIA or AMD GPU is "cuda" (torch calls AMD's so, too), an Apple GPU "mps". The environment
    variable MASKGIT_DEVICE names another device.
    """
    if chosen := os.environ.get(DEVICE):
        return torch.device(chosen)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def has_float64(device: torch.device) -> bool:
    """Returns whether a device computes in float64, as all but Apple's GPUs do."""
    return device.type != "mps"


@cache
def bf16_is_faster(device: torch.device) -> bool:
    """Returns whether a device multiplies matrices faster in bf16 than in float32.

    NVIDIA's GPUs do from Ampere on; older ones, such as the T4, emulate bf16. AMD's do. On Apple's
    it was not measured, so they keep float32. Of processors those with matrix units (AMX) do, and
    AMD's with avx512_bf16 (2 to 3 times as fast on Zen 4). On a Xeon with avx512_bf16 alone a
    training step took 1.5 to 1.8 times as long as in float32, and without any bf16 instruction it
    is emulated, hundreds of times slower.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    able = torch.cpu.get_capabilities()
    return bool(able.get("amx_bf16") or (able.get("avx512_bf16") and "AuthenticAMD" in cpu_info()))


def cpu_info() -> str:
    """Returns the content of /proc/cpuinfo; '' where there is none, as outside Linux."""
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8") if path.exists() else ""


def autocast(device: torch.device) -> torch.autocast:
    """Returns a context in which networks run in bf16 where that is faster on the device."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16_is_faster(device))


def compiled(function: Function, device: torch.device) -> Function:
    """Returns a network or function compiled by torch on a GPU, and as it is on other devices.

    The first call compiles, for half a minute. On an H100 a training step of the transformer of
    preset `base` takes 25 ms compiled and 48 ms otherwise. A step of the tokenizer takes 44 ms
    compiled and 28 ms otherwise, since convolutions have fast kernels already. Where something is
    missing that compiling needs, such as a C compiler, one line says so, and nothing is compiled.
    """
    if device.type != "cuda" or find_spec("triton") is None:
        return function
    try:
        torch.compile(torch.add)(torch.ones(2, device=device), 1)
    except Exception as error:  # of many kinds: torch's, Triton's, the operating system's
        fault = " ".join(str(error).split())[:80]
        print(f"training is not compiled ({type(error).__name__}: {fault}), which is slower")
        return function
    return torch.compile(function)


def keep_freed_memory() -> None:
    """Makes the C library reuse large buffers instead of returning each to the system.

    A training frees and allocates the same buffers at every step, and so does a network with each
    batch. On two Linux cores a step of the transformer took 13 to 21 % less time, features of
    images 40 %; the gain of a tokenizer's training was within the noise.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # absent from musl
        if mallopt is not None:
            m_mmap_threshold, m_trim_threshold = -3, -1
            mallopt(m_mmap_threshold, 2**30)
            mallopt(m_trim_threshold, 2**31 - 1)


class Rows:
    """An array of which rows are read as tensors on a device.

    A GPU holds the whole array where that takes at most a quarter of its free memory, so that no
    step waits for a copy. Otherwise only the rows that are asked for are read. Of a memory map
    nothing else is then in memory.
    """

    def __init__(self, array: np.ndarray, device: torch.device):
        self.array, self.device = array, device
        self.held = None
        if device.type == "cuda" and array.nbytes < torch.cuda.mem_get_info(device)[0] / 4:
            self.held = _signed(np.array(array)).to(device)

    def __getitem__(self, index: tuple[np.ndarray, ...]) -> Tensor:
        """Returns the rows at `index`, int arrays of equal length; uint16 values become int32."""
        if self.held is None:
            return _signed(self.array[index]).to(self.device)
        return self.held[tuple(to_device(i, self.device) for i in index)]


def _signed(array: np.ndarray) -> Tensor:
    """Returns the array as a tensor, uint16 as int32, since torch supports little of uint16."""
    return torch.from_numpy(array.astype(np.int32) if array.dtype == np.uint16 else array)


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """Copies a small array to a device, without waiting for the operations that the device runs."""
    return torch.from_numpy(array).to(device, non_blocking=True)


def is_synchronous(device: torch.device) -> bool:
    """Returns whether reading a value from the device waits for no queued operations."""
    return device.type == "cpu"


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


def to_float(images: np.ndarray, device: torch.device) -> Tensor:
    """Converts images uint8 (N, H, W, 3) to float (N, 3, H, W) in [-1, 1], stored channels last."""
    return pixels_to_float(torch.from_numpy(np.ascontiguousarray(images)).to(device))


def pixels_to_float(images: Tensor) -> Tensor:
    """As `to_float`, for a tensor, on its own device."""
    return images.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def to_uint8(images: Tensor) -> np.ndarray:
    """Converts images float (N, 3, H, W) in [-1, 1] to uint8 (N, H, W, 3), rounded."""
    pixels = images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
