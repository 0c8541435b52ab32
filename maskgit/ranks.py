"""Several processes at one job, as torchrun starts them: which one is this, and what they share.

Alone, a process is rank 0 of 1, and everything here gives back what it was given. Whatever all of
them share they have to call together, in the same order.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


def is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    return dist.get_rank() if is_distributed() else 0


def world_size() -> int:
    return dist.get_world_size() if is_distributed() else 1


def shard(items: Sequence) -> Sequence:
    """This rank's part of what all of them have: every `world_size()`-th item."""
    return items[rank() :: world_size()]


def all_reduce_sum(tensor: Tensor) -> Tensor:
    """The sum over all ranks, in place."""
    if is_distributed():
        dist.all_reduce(tensor)
    return tensor


def all_reduce_mean(values: dict[str, float]) -> dict[str, float]:
    """The mean over all ranks of numbers that go by the same names on each."""
    total = all_reduce_sum(torch.tensor(list(values.values()), dtype=torch.float64))
    return dict(zip(values, (total / world_size()).tolist(), strict=True))


def all_reduce_max(*numbers: int) -> list[int]:
    """The largest of each number over all ranks."""
    tensor = torch.tensor(numbers)
    if is_distributed():
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
    return tensor.tolist()


def all_gather(item: T) -> list[T]:
    """Every rank's item, in their order."""
    items = [item] * world_size()
    if is_distributed():
        dist.all_gather_object(items, item)
    return items


def gather_shards(own: list[T]) -> list[T]:
    """What `shard` dealt out, in its order again."""
    dealt = all_gather(own)
    return [part[i] for i in range(len(dealt[0])) for part in dealt if i < len(part)]


def broadcast(item: T) -> T:
    """The first rank's item."""
    items = [item]
    if is_distributed():
        dist.broadcast_object_list(items)
    return items[0]


def broadcast_tensors(*tensors: Tensor) -> None:
    """Overwrites them by the first rank's."""
    if is_distributed():
        for tensor in tensors:
            dist.broadcast(tensor, src=0)


def barrier() -> None:
    """Until all ranks have come here."""
    if is_distributed():
        dist.barrier()


class Loss(nn.Module):
    """A loss as a module: DistributedDataParallel only sees what passes through `forward`."""

    def __init__(self, model: nn.Module, loss: Callable[..., Tensor]):
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, *inputs) -> Tensor:
        return self.loss(self.model, *inputs)


def parallel(network: nn.Module) -> nn.Module:
    """`network` with gradients that are the mean over all ranks.

    Of the parameters, those that learn now; to be called again when others do.
    """
    return (
        DistributedDataParallel(network, forward_sync_buffers=False)
        if is_distributed()
        else network
    )
