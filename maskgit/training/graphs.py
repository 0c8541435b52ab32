"""Runs a training step as one CUDA graph, so that the GPU does not wait for Python.

A small network's step is hundreds of short kernels, and starting each takes longer than running it.
A CUDA graph starts all of them at once (torch.cuda.graphs, "CUDA Graphs" in torch's notes).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Step = Callable[..., dict[str, Tensor]]
Capture = Callable[[Step, tuple[Tensor, ...]], tuple[Callable[[], Any], dict[str, Tensor]]]

EAGER = 3  # calls before the capture, in which optimisers make their state and libraries choose


def capture_graph(
    step: Step, inputs: tuple[Tensor, ...]
) -> tuple[Callable[[], Any], dict[str, Tensor]]:
    """Captures `step(*inputs)` without running it; returns what runs it, and its results."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = step(*inputs)
    return graph.replay, results


class Replayed:
    """A step that runs as one graph from its fourth call on; each call does the work of one.

    step: takes tensors on the device, whose shapes are the same in each call, and returns a dict
    of tensors. It does not wait for the device, and changes what it keeps in place. Whatever else
    it reads, such as a Python number, is fixed by the capture. capture: as `capture_graph`.
    """

    def __init__(self, step: Step, capture: Capture = capture_graph):
        self.step, self.capture = step, capture
        self.calls = 0
        self.inputs: tuple[Tensor, ...] = ()

    def __call__(self, *inputs: Tensor) -> dict[str, Tensor]:
        self.calls += 1
        if self.calls <= EAGER:
            return _beside(self.step, inputs)
        if not self.inputs:
            self.inputs = tuple(tensor.clone() for tensor in inputs)
            self.replay, self.results = self.capture(self.step, self.inputs)
        for kept, given in zip(self.inputs, inputs, strict=True):
            kept.copy_(given)
        self.replay()
        return {name: value.clone() for name, value in self.results.items()}


def _beside(step: Step, inputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Runs a step on another stream than the default one, which a capture cannot follow."""
    if not inputs[0].is_cuda:
        return step(*inputs)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        results = step(*inputs)
    torch.cuda.current_stream().wait_stream(stream)
    return results
