"""A training that can be stopped between two steps and taken up again, to the same bits.

What later steps depend on has a `state_dict()` and a `load_state_dict()`, as in torch; the states
hold tensors, numbers, strings and containers of them, which `torch.load(weights_only=True)` reads.
"""

import math
from abc import ABC, abstractmethod
from copy import deepcopy
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from maskgit import ranks

RANK_SEEDS = 10**6  # between two ranks' seeds; torch looks at the lower 32 bits only


class Stateful(Protocol):
    def state_dict(self) -> dict: ...

    def load_state_dict(self, state: dict) -> object: ...


class RandomGenerators:
    """Everything drawn at random in a training, from one seed; by each rank for itself.

    `numpy` and `torch`, on the device, are generators of its own; dropout and the codebook draw
    from torch's global ones, which are seeded here too.
    """

    def __init__(self, seed: int, device: torch.device):
        seed += RANK_SEEDS * ranks.rank()
        self.numpy = np.random.default_rng(seed)
        self.torch = torch.Generator(device).manual_seed(seed)
        torch.manual_seed(seed)

    def state_dict(self) -> dict:
        own = {
            "numpy": self.numpy.bit_generator.state,
            "torch": self.torch.get_state(),
            "global": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        return {"ranks": ranks.all_gather(own)}

    def load_state_dict(self, state: dict) -> None:
        state = state["ranks"][ranks.rank()]
        self.numpy.bit_generator.state = state["numpy"]
        self.torch.set_state(state["torch"])
        torch.set_rng_state(state["global"])
        if state["cuda"]:
            torch.cuda.set_rng_state_all(state["cuda"])


class ShuffledBatches:
    """Endless batches of indices; each index comes once before any comes again.

    The ranks go by the first one's order, and each gets its share of a batch.
    """

    def __init__(self, count: int, batch_size: int, rng: np.random.Generator):
        self.count, self.batch_size, self.rng = count, batch_size, rng
        self.order = np.empty(0, dtype=np.int64)  # drawn and not used yet

    def __iter__(self) -> "ShuffledBatches":
        return self

    def __next__(self) -> np.ndarray:
        while len(self.order) < self.batch_size:
            shuffled = ranks.broadcast(self.rng.permutation(self.count))
            self.order = np.concatenate([self.order, shuffled])
        batch, self.order = self.order[: self.batch_size], self.order[self.batch_size :]
        return ranks.shard(batch)

    def state_dict(self) -> dict:
        return {"order": torch.from_numpy(self.order.copy())}

    def load_state_dict(self, state: dict) -> None:
        self.order = state["order"].numpy()


class Best:
    """The model of the lowest validation loss so far."""

    def __init__(self, model: nn.Module):
        self.model = deepcopy(model)
        self.loss = math.inf

    def update(self, model: nn.Module, loss: float) -> None:
        if loss < self.loss:
            self.loss = loss
            self.model.load_state_dict(model.state_dict())

    def state_dict(self) -> dict:
        return {"model": self.model.state_dict(), "loss": self.loss}

    def load_state_dict(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.loss = state["loss"]


Metrics = dict[str, float | Tensor]  # tensors stay on the device until someone reads them


def metric_values(metrics: Metrics) -> dict[str, float]:
    """The numbers, for which the device has to be waited for.

    Raises FloatingPointError where a loss is not finite.
    """
    numbers = {name: float(value) for name, value in metrics.items()}
    for name, value in numbers.items():
        if name.endswith("loss") and not math.isfinite(value):
            raise FloatingPointError(f"{name} is {value}")
    return numbers


class Trainer(ABC):
    """`steps` to do, of which `done` are done; `parts` is everything later steps depend on."""

    steps: int
    done: int = 0
    parts: dict[str, Stateful]

    @abstractmethod
    def step(self) -> Metrics:
        """Does one more step and returns its metrics; evaluations add some called `val_...`."""

    def state_dict(self) -> dict:
        """Of all ranks, to be asked of all; not a copy: the next step changes its tensors."""
        return {"done": self.done} | {name: p.state_dict() for name, p in self.parts.items()}

    def load_state_dict(self, state: dict) -> None:
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        self.done = state["done"]
