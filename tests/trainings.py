"""Runs trainings, and compares what they leave."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from maskgit.training.settings import DrawingTraining
from maskgit.training.trainer import metric_values

DRAWING = DrawingTraining(
    steps=16,
    batch_size=8,
    learning_rate=4e-3,
    warmup=2,
    perceptual_weight=0.0,
    adversarial_weight=0.0,
    discriminator_start=0.5,
    ema_decay=0.5,
    evaluations=2,
)


def finish(trainer):
    """Does all steps that are left; (step, metrics) of each."""
    records = []
    while trainer.done < trainer.steps:
        metrics = metric_values(trainer.step())
        records.append((trainer.done, metrics))
    return records


def assert_equal_weights(a, b):
    for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
        assert torch.equal(x, y)


def through_a_file(state, path):
    torch.save(state, path)
    return torch.load(path, weights_only=True)


class Waits(TorchDispatchMode):
    """Counts what a GPU would be waited for: numbers read, and shapes that depend on numbers."""

    NAMES = ("_local_scalar_dense", "nonzero", "masked_select", "bincount", "_unique2", "equal")

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.split(".")[0]
        by_mask = name.startswith("index") and any(
            isinstance(i, torch.Tensor) and i.dtype == torch.bool for i in args[1] or []
        )
        if name in self.NAMES or by_mask:
            self.found.append(name)
        return func(*args, **(kwargs or {}))
