"""The machine: which device, which precision, and images as tensors on it."""

import ctypes
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

Piece = TypeVar("Piece")
Result = TypeVar("Result")

GPU_BATCH = 256  # images that a network sees at once there, outside training


def best_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@cache
def bf16_is_faster(device: torch.device) -> bool:
    """True on GPUs, and on processors that multiply matrices faster in bf16 than in float32.

    Those are the ones with matrix units (AMX), and AMD's with avx512_bf16 (2 to 3 times as fast on
    Zen 4). On a Xeon with avx512_bf16 alone a training step took 1.5 to 1.8 times as long as in
    float32, and without any bf16 instruction it is emulated, hundreds of times slower.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    able = torch.cpu.get_capabilities()
    return bool(able.get("amx_bf16") or (able.get("avx512_bf16") and "AuthenticAMD" in cpu_info()))


def cpu_info() -> str:
    """What Linux says of the processor; empty elsewhere."""
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.exists() else ""


def autocast(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16_is_faster(device))


def compiled(network: nn.Module, device: torch.device) -> nn.Module:
    """On a GPU, the network as kernels made for it, which takes half a minute at its first call.

    On an H100 a training step of the transformer then takes half its time, `base` 25 ms for 48; one
    of the tokenizer, whose convolutions are made for it already, takes longer (44 for 28).
    """
    able = device.type == "cuda" and find_spec("triton") is not None
    return torch.compile(network) if able else network


def keep_freed_memory() -> None:
    """Lets the C library reuse large buffers in place of giving each back to the system.

    A training frees and takes the same buffers at every step, and so does a network with each
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
    """Rows of an array, as tensors on a device.

    A GPU holds all of the array, if that takes at most a quarter of its free memory, so that no
    step waits for a copy. Else the rows asked for are read: of a memory map no more is in memory.
    """

    def __init__(self, array: np.ndarray, device: torch.device):
        self.array, self.device = array, device
        self.held = None
        if device.type == "cuda" and array.nbytes < torch.cuda.mem_get_info(device)[0] / 4:
            self.held = _signed(np.array(array)).to(device)

    def __getitem__(self, index: tuple[np.ndarray, ...]) -> Tensor:
        """index: int arrays of equal length, as for the array. uint16 comes as int32."""
        if self.held is None:
            return _signed(self.array[index]).to(self.device)
        return self.held[tuple(to_device(i, self.device) for i in index)]


def _signed(array: np.ndarray) -> Tensor:
    """torch does little with uint16."""
    return torch.from_numpy(array.astype(np.int32) if array.dtype == np.uint16 else array)


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """A small array, copied while the device goes on with what it has to do."""
    return torch.from_numpy(array).to(device, non_blocking=True)


def is_synchronous(device: torch.device) -> bool:
    """Whether a number can be read, or a shape depend on one, without an idle moment."""
    return device.type == "cpu"


def batch_invariant_chunks(batch: Tensor) -> tuple[Tensor, ...]:
    """What passes through a network together: on a processor each row of a batch by itself.

    In a batch of another size its threads share out a convolution or a norm in another way, and the
    last bit of a result with it. A GPU is slow with one at a time, and gives up that promise.
    """
    return batch.split(1 if batch.device.type == "cpu" else GPU_BATCH)


@contextmanager
def parallel_map(
    work: Callable[[Piece], Result], pieces: Sequence[Piece], device: torch.device
) -> Iterator[Iterator[Result]]:
    """work(piece) for each, in order; on a processor by threads with a core each, several at once.

    One picture is too little for cores to share, and where each has its own no result depends on
    how many there are. After the block nothing is at work any more, whatever ended it.
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


def to_float(images: np.ndarray, device: torch.device) -> Tensor:
    """uint8 (N, H, W, 3) -> float (N, 3, H, W) in [-1, 1]; channels stay last in memory."""
    return pixels_to_float(torch.from_numpy(np.ascontiguousarray(images)).to(device))


def pixels_to_float(images: Tensor) -> Tensor:
    """As `to_float`, of a tensor where it is."""
    return images.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def to_uint8(images: Tensor) -> np.ndarray:
    """float (N, 3, H, W) in [-1, 1] -> uint8 (N, H, W, 3), rounded."""
    pixels = images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
