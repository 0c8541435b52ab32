"""Times several implementations of the same work, in turn, in one process."""

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from maskgit.device import best_device, bf16_is_faster


@dataclass(frozen=True)
class Way:
    """One way of doing a piece of work: `run` does it for `images` images.

    per_batch: the part of the work that is done once a batch of any size: an optimiser's step.
    """

    name: str
    run: Callable[[], object]
    images: int
    per_batch: Callable[[], object] | None = None


@dataclass(frozen=True)
class Race:
    """The implementations that are timed: the lab's, the lab's with single changes, then ours.

    excess: the share of `per_batch` that is taken off, where a real batch is larger than could be
    timed.
    """

    step: str
    ways: list[Way]
    notes: list[str]
    repeats: int
    excess: float = 0.0
    equal_results: bool = False  # every way's `run` returns the same number


@dataclass(frozen=True)
class Result:
    """Times and costs of the ways of a race.

    Attributes:
        seconds: float (repeats, ways), for one image.
        flops: floating-point operations for one image.
        difference: the largest relative difference of two ways' results, where they should be
            equal.
    """

    seconds: np.ndarray
    flops: np.ndarray
    difference: float | None


def machine() -> str:
    """Describes the machine in one line."""
    device = best_device()
    if device.type == "cuda":
        return torch.cuda.get_device_name()
    if device.type != "cpu":
        return f"{device.type} on {platform.machine()}"
    bf16 = "with" if bf16_is_faster(device) else "without"
    name = torch.cpu.get_capabilities().get("cpu_name", platform.machine())
    return f"{torch.get_num_threads()} threads of {name}, {bf16} bf16"


def finish() -> None:
    """Waits for the GPU, where there is one."""
    kind = best_device().type
    if kind != "cpu":
        getattr(torch, kind).synchronize()


def count_flops(run: Callable[[], object]) -> tuple[int, object]:
    """Returns the floating-point operations of a run and the run's result.

    Matrix products and convolutions are counted. Attention is written out for the count, since
    torch does not know the cost of the fused kernel on every device; the number of operations is
    the same. What NumPy does is not counted. Nothing is compiled: a function that torch first meets
    under the counter would stay uncompiled for good.
    """
    with (
        torch.compiler.set_stance("force_eager"),
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):
        result = run()
    return counter.get_total_flops(), result


def time_run(run: Callable[[], object]) -> float:
    """Returns the seconds of a run."""
    finish()
    start = time.perf_counter()
    run()
    finish()
    return time.perf_counter() - start


def time_race(race: Race, repeats: int) -> Result:
    """Times all ways in turn (lab, ..., ours, lab, ..., ours), so that none has quieter minutes.

    First each way runs once to count its operations, and once to warm up.
    """
    ways = race.ways
    flops, results = np.zeros(len(ways)), []
    seconds = np.empty((repeats, len(ways)))
    with tqdm(total=(1 + repeats) * len(ways), desc=race.step, unit="run") as bar:
        for i, way in enumerate(ways):
            operations, result = count_flops(way.run)
            if race.excess:
                operations -= race.excess * count_flops(way.per_batch)[0]
            flops[i] = operations / way.images
            results.append(result)
            way.run()
            bar.update()
        for times in seconds:
            for i, way in enumerate(ways):
                taken = time_run(way.run)
                if race.excess:
                    taken -= race.excess * time_run(way.per_batch)
                times[i] = taken / way.images
                bar.update()
    difference = max(results) / min(results) - 1 if race.equal_results else None
    return Result(seconds, flops, difference)
