"""Stores a network as one safetensors file: its weights, and in the metadata its configuration.

The file holds no code. A file that does not fit is refused before memory is allocated for it.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from maskgit.device import best_device

Model = TypeVar("Model", bound=nn.Module)

# Checkpoints with larger sizes are refused, so that reading them costs neither time nor memory.
MAX_SIZE, MAX_BLOCKS, MAX_ITEMS = 2**16, 1000, 64
NAMED = 3  # faults that a message lists; it counts the others


class BadCheckpoint(ValueError):
    """Raised for a faulty file; its message is to follow the file's name."""


class ForeignCheckpoint(BadCheckpoint):
    """Raised for a file that is not a checkpoint of the expected kind, though it may be sound."""


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint file."""

    kind: str  # the class of the network
    config: dict  # its constructor's arguments
    state: dict[str, Tensor]
    partner: str = ""  # `weights_hash` of the network that it was trained with, if it says so

    def to_bytes(self) -> bytes:
        """Returns the content of the file; equal checkpoints give equal bytes."""
        described = {"kind": self.kind, "config": self.config}
        if self.partner:
            described["partner"] = self.partner
        # All metadata is one entry, since safetensors writes several entries in any order.
        return save(self.state, metadata={"model": json.dumps(described)})

    def weights_hash(self) -> str:
        """Returns the sha256 in hex over the names and values of all weights, without metadata."""
        digest = hashlib.sha256()
        for name in sorted(self.state):
            value = self.state[name]
            digest.update(f"{name} {describe_tensor(value)}\0".encode())
            digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())  # of any dtype
        return digest.hexdigest()

    def half(self) -> "Checkpoint":
        """Returns the same network with its float32 weights rounded to float16, half the bytes.

        What float16 cannot hold, as the running counts of a large codebook, stays as it is.
        """
        halved = {
            key: _as(value, torch.float32, torch.float16) for key, value in self.state.items()
        }
        lost = {key for key, value in halved.items() if not value.isfinite().all()}
        return replace(self, state=halved | {key: self.state[key] for key in lost})


def checkpoint_of(config: dict, model: nn.Module) -> Checkpoint:
    """Returns a model as a checkpoint; config: its constructor's arguments."""
    state = {key: value.contiguous().cpu() for key, value in model.state_dict().items()}
    return Checkpoint(type(model).__name__, config, state)


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint file; `restore` makes the network of it. Raises BadCheckpoint."""
    try:
        with safe_open(path, "pt") as file:
            described = json.loads((file.metadata() or {}).get("model", "{}"))
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise BadCheckpoint(f"cannot be read ({error})") from None
    if not isinstance(described, dict):
        described = {}
    kind, config, partner = (described.get(key) for key in ("kind", "config", "partner"))
    return Checkpoint(str(kind), config, state, str(partner or ""))


def restore(checkpoint: Checkpoint, kinds: Sequence[type[Model]]) -> Model:
    """Returns the network of a checkpoint in evaluation mode, on the best device, in float32.

    kinds: the classes that it may be of. Raises BadCheckpoint where it is of none of them or its
    weights do not fit its sizes.
    """
    kind = next((kind for kind in kinds if kind.__name__ == checkpoint.kind), None)
    if kind is None:
        names = " or ".join(kind.__name__ for kind in kinds)
        raise ForeignCheckpoint(f"is not a {names} checkpoint of this project")
    full = {
        key: _as(value, torch.float16, torch.float32) for key, value in checkpoint.state.items()
    }
    fault = state_dict_mismatch(meta_model(kind, checkpoint.config), full)
    if fault:
        raise BadCheckpoint(fault)
    model = build(kind, checkpoint.config)
    model.load_state_dict(full)
    return model.eval()


def build(kind: type[Model], config: dict) -> Model:
    """Returns a new model on the best device, channels last in memory, which convolves faster."""
    return kind(**config).to(best_device(), memory_format=torch.channels_last)


class _Unfilled(TorchFunctionMode):
    """Skips random initialisation: on "meta" torch would load its compiler for it, for a second."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in (F.normalize, nn.init.normal_):
            return args[0] if args else kwargs["tensor"]
        return (torch.empty if function is torch.randn else function)(*args, **kwargs)


def meta_model(kind: type[Model], config: object) -> Model:
    """Returns the model that `config` describes on the device "meta", without memory for weights.

    Raises BadCheckpoint where `config` describes no model, before absurd sizes cost memory.
    """
    if not isinstance(config, dict) or any(
        is_absurd(value, MAX_BLOCKS if name.endswith(("blocks", "layers")) else MAX_SIZE)
        for name, value in config.items()
    ):
        raise BadCheckpoint("has sizes beyond any model of this project")
    try:
        with torch.device("meta"), _Unfilled():
            return kind(**config)
    except (TypeError, ValueError, ArithmeticError, LookupError, RuntimeError, AssertionError):
        raise BadCheckpoint(f"has sizes that make no {kind.__name__}") from None


def state_dict_mismatch(model: nn.Module, state: dict[str, Tensor]) -> str:
    """Returns how a state dict differs from that of `model`, in words; '' where it fits.

    It names the first NAMED weights that are missing, of another shape or dtype, unexpected, or
    not finite. model: may be on the device "meta".
    """
    expected = {key: describe_tensor(value) for key, value in model.state_dict().items()}
    found = {key: describe_tensor(value) for key, value in state.items()}
    missing = [
        f"{key}, {wanted}, is missing" for key, wanted in expected.items() if key not in found
    ]
    wrong = [
        f"{key} should be {wanted}, but is {found[key]}"
        for key, wanted in expected.items()
        if found.get(key, wanted) != wanted
    ]
    kind = type(model).__name__
    extra = [f"{key!r:.80} is not part of a {kind}" for key in found if key not in expected]
    broken = [
        f"{key} holds values that are not finite numbers"
        for key, value in state.items()
        if found[key] == expected.get(key) and not value.isfinite().all()
    ]
    faults = missing + wrong + extra + broken
    more = f"; and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
    return f"does not fit: {'; '.join(faults[:NAMED])}{more}" if faults else ""


def _as(tensor: Tensor, old: torch.dtype, new: torch.dtype) -> Tensor:
    return tensor.to(new) if tensor.dtype == old else tensor


def is_absurd(value: object, most: int) -> bool:
    """Returns whether a value of a config is a number above `most`, or a list that is too long."""
    items = value if isinstance(value, list) else [value]
    return len(items) > MAX_ITEMS or any(
        isinstance(item, list) or (isinstance(item, int | float) and abs(item) > most)
        for item in items
    )


def describe_tensor(tensor: Tensor) -> str:
    """Returns dtype and shape, as 'float32 (16, 4)'."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
