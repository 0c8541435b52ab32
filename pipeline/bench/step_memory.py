"""Estimates the memory of a training on a device, from a step with a few images on any device."""

from collections.abc import Callable
from unittest.mock import patch

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from maskgit.training.trainer import Trainer
from maskgit.transformer import model as transformer_model

COUNTED = 2  # images in the step of which saved bytes, and elsewhere operations, are counted
WORKING = 1.2  # over what a step saves for its backward pass: what that pass itself takes


def saved_bytes(run: Callable[[], object]) -> int:
    """Returns the bytes of all tensors that a run keeps for its backward pass."""
    kept = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage  # held, so that no later one lies in its place
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        run()
    return sum(storage.nbytes() for storage in kept.values())


def state_bytes(value: object) -> int:
    """Returns the bytes of all tensors in a state dict."""
    if isinstance(value, Tensor):
        return value.nbytes
    if isinstance(value, dict | list | tuple):
        parts = value.values() if isinstance(value, dict) else value
        return sum(map(state_bytes, parts))
    return 0


def training_gigabytes(
    trainer: Callable[[int], Trainer], batch: int, accumulate: int, data: float
) -> float:
    """Estimates the memory of a training on a GPU, in gigabytes, without what CUDA itself takes.

    The state (weights, averages, optimisers) and the gradients, the images that are held there,
    and what a step keeps for its backward pass. That is counted in batches of COUNTED images and of
    twice as many, and scaled to that of a part: weights, and their copies in bf16, are kept once.
    WORKING stands for what the backward pass itself takes.

    trainer: makes one for a batch size. accumulate: parts of a batch. data: bytes of images and
    tokens.
    """
    as_on_a_gpu = patch.object(transformer_model, "is_synchronous", return_value=False)
    kept = {}
    with as_on_a_gpu, torch.compiler.set_stance("force_eager"):  # the latter as `count_flops`
        for images in (2 * COUNTED, COUNTED):
            small = trainer(images)
            small.step()  # in which optimisers make their state
            kept[images] = saved_bytes(small.step)
    model = small.parts["model"]
    fixed = state_bytes(small.state_dict()) + sum(p.nbytes for p in model.parameters())
    by_image = (kept[2 * COUNTED] - kept[COUNTED]) / COUNTED
    once = kept[COUNTED] - COUNTED * by_image
    weights = state_bytes(model.state_dict())  # counted in `fixed`, too
    part = -(-batch // accumulate) * by_image + max(0, once - weights)
    return (fixed + data + WORKING * part) / 1e9
