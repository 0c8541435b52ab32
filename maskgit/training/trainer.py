"""Trainings that can be stopped between two steps and resumed with the same result, bit for bit.

Everything that later steps depend on has `state_dict()` and `load_state_dict()`, as in torch.
States hold tensors, numbers, strings and containers of them, which `torch.load(weights_only=True)`
reads.
"""

import math
from abc import ABC, abstractmethod
from copy import deepcopy
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from maskgit import ranks

RANK_SEEDS = 10**6  # difference of two ranks' seeds; torch uses the lower 32 bits only


class Stateful(Protocol):
    """An object whose state can be saved and restored."""

    def state_dict(self) -> dict: ...

    def load_state_dict(self, state: dict) -> object: ...


class RandomGenerators:
    """The random generators of a training, seeded by one seed, different on each rank.

    numpy, torch: generators, that of torch on the device. Dropout and the codebook use torch's
    global generators, which are seeded here too.
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
            "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_available() else [],
            "mps": [torch.mps.get_rng_state()] if torch.backends.mps.is_available() else [],
        }
        return {"ranks": ranks.all_gather(own)}

    def load_state_dict(self, state: dict) -> None:
        state = state["ranks"][ranks.rank()]
        self.numpy.bit_generator.state = state["numpy"]
        self.torch.set_state(state["torch"])
        torch.set_rng_state(state["global"])
        for values in state["cuda"]:
            torch.cuda.set_rng_state(values)
        for values in state["mps"]:
            torch.mps.set_rng_state(values)


class ShuffledBatches:
    """Yields batches of shuffled indices without end; each epoch has every index once.

    All ranks use the first rank's order, and each yields its part of a batch.
    """

    def __init__(self, count: int, batch_size: int, rng: np.random.Generator):
        self.count, self.batch_size, self.rng = count, batch_size, rng
        self.order = np.empty(0, dtype=np.int64)  # shuffled indices not used yet

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
        """Copies the model where its loss is lower than the lowest so far."""
        if loss < self.loss:
            self.loss = loss
            self.model.load_state_dict(model.state_dict())

    def state_dict(self) -> dict:
        return {"model": self.model.state_dict(), "loss": self.loss}

    def load_state_dict(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.loss = state["loss"]


Metrics = dict[str, float | Tensor]  # tensors stay on the device, see `metric_values`


def metric_values(metrics: Metrics) -> dict[str, float]:
    """Converts metrics to numbers, which waits for the device.

    Raises FloatingPointError where a loss is not finite.
    """
    numbers = {name: float(value) for name, value in metrics.items()}
    for name, value in numbers.items():
        if name.endswith("loss") and not math.isfinite(value):
            raise FloatingPointError(f"{name} is {value}")
    return numbers


class Trainer(ABC):
    """A training of `steps` steps, of which `done` are done; `parts` holds all of its state."""

    steps: int
    done: int = 0
    parts: dict[str, Stateful]

    @abstractmethod
    def step(self) -> Metrics:
        """Does one step and returns its metrics; an evaluation adds metrics called `val_...`."""

    def state_dict(self) -> dict:
        """Returns the state, not copied: the next step changes it. All ranks have to call it."""
        return {"done": self.done} | {name: p.state_dict() for name, p in self.parts.items()}

    def load_state_dict(self, state: dict) -> None:
        """Restores the state of a training with the same settings."""
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        self.done = state["done"]
