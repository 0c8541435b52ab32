"""Chooses the device, its precision and its memory settings."""

import ctypes
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

GPU_BATCH = 256  # images that pass through a network together on a GPU, outside training


def best_device() -> torch.device:
    """Returns the GPU where there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@cache
def bf16_is_faster(device: torch.device) -> bool:
    """Returns whether a device multiplies matrices faster in bf16 than in float32.

    GPUs do. So do processors with matrix units (AMX), and AMD's with avx512_bf16 (2 to 3 times as
    fast on Zen 4). On a Xeon with avx512_bf16 alone a training step took 1.5 to 1.8 times as long
    as in float32, and without any bf16 instruction it is emulated, hundreds of times slower.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    able = torch.cpu.get_capabilities()
    return bool(able.get("amx_bf16") or (able.get("avx512_bf16") and "AuthenticAMD" in cpu_info()))


def cpu_info() -> str:
    """Returns the content of /proc/cpuinfo; '' where there is none, as outside Linux."""
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8") if path.exists() else ""


def autocast(device: torch.device) -> torch.autocast:
    """Returns a context in which networks run in bf16 where that is faster on the device."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16_is_faster(device))


def compiled(network: nn.Module, device: torch.device) -> nn.Module:
    """Returns the network compiled by torch on a GPU, and as it is on other devices.

    The first call compiles, for half a minute. On an H100 a training step of the transformer of
    preset `base` takes 25 ms compiled and 48 ms otherwise. A step of the tokenizer takes 44 ms
    compiled and 28 ms otherwise, since convolutions have fast kernels already.
    """
    able = device.type == "cuda" and find_spec("triton") is not None
    return torch.compile(network) if able else network


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


def is_synchronous(device: torch.device) -> bool:
    """Returns whether reading a value from the device waits for no queued operations."""
    return device.type == "cpu"
