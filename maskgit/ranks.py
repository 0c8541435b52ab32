"""Collective operations among the processes that torchrun starts.

A single process is rank 0 of 1, and every operation here returns its input. All ranks have to call
the collective operations in the same order.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")


def backends(device: torch.device) -> str:
    """Returns the backends of collective operations among networks on a device.

    Losses, counts and objects are exchanged as CPU tensors, gradients on the device. Unless asked,
    torch registers a backend for the device alone; then every operation on a CPU tensor fails.
    """
    if device.type != "cuda":
        return "cpu:gloo"
    return f"cpu:gloo,cuda:{'nccl' if dist.is_nccl_available() else 'gloo'}"


@contextmanager
def group(device: torch.device, timeout: timedelta) -> Iterator[None]:
    """Makes this process one of the group that torchrun started, for the time of the block.

    device: of this process's networks. timeout: for which a rank waits for the others.
    """
    dist.init_process_group(backends(device), timeout=timeout)
    yield
    # Not after a fault: NCCL would wait for ranks that are still at work, and hide the message.
    dist.destroy_process_group()


def is_distributed() -> bool:
    """Returns whether this process is one of a group."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """Returns the number of this process in its group, from 0."""
    return dist.get_rank() if is_distributed() else 0


def world_size() -> int:
    """Returns the number of processes in the group."""
    return dist.get_world_size() if is_distributed() else 1


def shard(items: Sequence) -> Sequence:
    """Returns this rank's part of a sequence that all ranks have: every `world_size()`-th item."""
    return items[rank() :: world_size()]


def all_reduce_sum(tensor: Tensor) -> Tensor:
    """Sums a tensor over all ranks, in place, and returns it."""
    if is_distributed():
        dist.all_reduce(tensor)
    return tensor


def all_reduce_mean(values: dict[str, float]) -> dict[str, float]:
    """Returns the mean over all ranks of each value; the names are the same on all ranks."""
    total = all_reduce_sum(torch.tensor(list(values.values()), dtype=torch.float64))
    return dict(zip(values, (total / world_size()).tolist(), strict=True))


def all_reduce_max(*numbers: int) -> list[int]:
    """Returns the largest value of each number over all ranks."""
    tensor = torch.tensor(numbers)
    if is_distributed():
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
    return tensor.tolist()


def all_gather(item: T) -> list[T]:
    """Returns the items of all ranks, in the order of the ranks."""
    items = [item] * world_size()
    if is_distributed():
        dist.all_gather_object(items, item)
    return items


def gather_shards(own: list[T]) -> list[T]:
    """Returns the items that `shard` divided among the ranks, in their original order."""
    dealt = all_gather(own)
    return [part[i] for i in range(len(dealt[0])) for part in dealt if i < len(part)]


def broadcast(item: T) -> T:
    """Returns the first rank's item, on every rank."""
    items = [item]
    if is_distributed():
        dist.broadcast_object_list(items)
    return items[0]


def broadcast_tensors(*tensors: Tensor) -> None:
    """Overwrites tensors by those of the first rank, in place."""
    if is_distributed():
        for tensor in tensors:
            dist.broadcast(tensor, src=0)


def barrier() -> None:
    """Blocks until all ranks have called it."""
    if is_distributed():
        dist.barrier()


@torch.no_grad()
def share_weights(network: nn.Module) -> None:
    """Overwrites the weights of a network by those of the first rank, from which all are to start.

    Weights that are drawn after the ranks' own seeds were set differ.
    """
    if is_distributed():
        weights = list(network.parameters())
        together = torch.cat([weight.flatten() for weight in weights])
        broadcast_tensors(together)
        _copy_parts(together, weights)


def average_gradients(network: nn.Module) -> None:
    """Replaces the gradients of a network by their means over all ranks.

    All ranks have to have gradients for the same parameters.
    """
    if is_distributed():
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        together = all_reduce_sum(torch.cat([gradient.flatten() for gradient in gradients]))
        _copy_parts(together / world_size(), gradients)


def _copy_parts(together: Tensor, tensors: list[Tensor]) -> None:
    """Copies the parts of a flat tensor into tensors, in their order."""
    parts = together.split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor))
