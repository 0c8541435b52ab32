"""Collective operations among the processes that torchrun starts.

A single process is rank 0 of 1, and every operation here returns its input. All ranks have to call
the collective operations in the same order.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


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


class Loss(nn.Module):
    """A loss function of a model as a module.

    DistributedDataParallel averages gradients only of what runs in its module's `forward`.
    """

    def __init__(self, model: nn.Module, loss: Callable[..., Tensor]):
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, *inputs) -> Tensor:
        return self.loss(self.model, *inputs)


def parallel(network: nn.Module) -> nn.Module:
    """Returns the network with gradients that are averaged over all ranks.

    It averages the parameters that require gradients when it is called. Call it again when that
    changes.
    """
    if not is_distributed():
        return network
    return DistributedDataParallel(network, forward_sync_buffers=False)
