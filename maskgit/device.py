"""Chooses the device, its precision and its memory settings."""

import ctypes
import os
import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import torch

Function = TypeVar("Function", bound=Callable)

DEVICE = "MASKGIT_DEVICE"  # the environment variable of `best_device`
GPU_BATCH = 256  # images that pass through a network together on a GPU, outside training


class NoSuchDevice(ValueError):
    """A device was named that the machine does not have."""


def best_device() -> torch.device:
    """Returns the GPU where there is one, else the processor.

    An NVIDIA or AMD GPU is "cuda" (torch calls AMD's so, too), an Apple GPU "mps". The environment
    variable MASKGIT_DEVICE names another device. Raises NoSuchDevice where the machine lacks it.
    """
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    there = [*(name for name, available in found.items() if available), "cpu"]
    chosen = os.environ.get(DEVICE) or there[0]
    if chosen not in there:
        raise NoSuchDevice(f"no device {chosen!r} here ({DEVICE}), only {' and '.join(there)}")
    return torch.device(chosen)


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


def is_synchronous(device: torch.device) -> bool:
    """Returns whether reading a value from the device waits for no queued operations."""
    return device.type == "cpu"
