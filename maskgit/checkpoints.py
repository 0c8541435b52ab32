"""A network as one safetensors file: its weights, and its constructor's arguments in the metadata.

Nothing in such a file is code, and whatever does not fit is refused before it costs memory.
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

# No checkpoint describes more: reading its sizes must not cost time or memory.
MAX_SIZE, MAX_BLOCKS = 2**16, 1000
NAMED = 3  # faults, of all that a file has


class BadCheckpoint(ValueError):
    """What is wrong with a file, to be read after its name."""


class ForeignCheckpoint(BadCheckpoint):
    """It is a file of something else: not damaged, but in the wrong place."""


@dataclass(frozen=True)
class Checkpoint:
    """What such a file holds."""

    kind: str  # the class of the network
    config: dict  # its constructor's arguments
    state: dict[str, Tensor]
    partner: str = ""  # `weights_hash` of the network that it was trained with, if it says so

    def to_bytes(self) -> bytes:
        described = {"kind": self.kind, "config": self.config}
        if self.partner:
            described["partner"] = self.partner
        # one entry: safetensors writes several in any order, and the same model has the same bytes
        return save(self.state, metadata={"model": json.dumps(described)})

    def weights_hash(self) -> str:
        """sha256 over the names and values of all weights, in hex, whatever the metadata says."""
        digest = hashlib.sha256()
        for name in sorted(self.state):
            value = self.state[name]
            digest.update(f"{name} {describe_tensor(value)}\0".encode())
            digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())  # of any dtype
        return digest.hexdigest()

    def half(self) -> "Checkpoint":
        """The same network in half the bytes: its float32 weights rounded to float16."""
        state = {key: _as(value, torch.float32, torch.float16) for key, value in self.state.items()}
        return replace(self, state=state)


def checkpoint_of(config: dict, model: nn.Module) -> Checkpoint:
    state = {key: value.contiguous().cpu() for key, value in model.state_dict().items()}
    return Checkpoint(type(model).__name__, config, state)


def read_checkpoint(path: Path) -> Checkpoint:
    """Raises BadCheckpoint if it cannot be read; whether it makes a network, `restore` says."""
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
    """The network, of one of these kinds, in evaluation mode, on the best device, in float32
    whatever its file has.

    Raises BadCheckpoint if it is none of them or its weights do not fit its sizes.
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
    """A fresh model on the best device; convolutions keep channels last, faster on processors."""
    return kind(**config).to(best_device(), memory_format=torch.channels_last)


class _Unfilled(TorchFunctionMode):
    """Leaves out random numbers: for those, "meta" loads torch's compiler, which takes a second."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in (F.normalize, nn.init.normal_):
            return args[0] if args else kwargs["tensor"]
        return (torch.empty if function is torch.randn else function)(*args, **kwargs)


def meta_model(kind: type[Model], config: object) -> Model:
    """The model that `config` describes, without memory for its weights ("meta").

    Raises BadCheckpoint where it describes none, so that absurd sizes cost nothing.
    """
    if not isinstance(config, dict) or any(
        largest_number(value) > (MAX_BLOCKS if name.endswith(("blocks", "layers")) else MAX_SIZE)
        for name, value in config.items()
    ):
        raise BadCheckpoint("has sizes beyond any model of this project")
    try:
        with torch.device("meta"), _Unfilled():
            return kind(**config)
    except (TypeError, ValueError, ArithmeticError, LookupError, RuntimeError, AssertionError):
        raise BadCheckpoint(f"has sizes that make no {kind.__name__}") from None


def state_dict_mismatch(model: nn.Module, state: dict[str, Tensor]) -> str:
    """Which of these weights are not those of `model` (which may be a skeleton), or ''.

    Names the first few that are missing, of another shape or kind, not expected, or not finite.
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
        if key in expected and not value.isfinite().all()
    ]
    faults = missing + wrong + extra + broken
    more = f"; and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
    return f"does not fit: {'; '.join(faults[:NAMED])}{more}" if faults else ""


def _as(tensor: Tensor, old: torch.dtype, new: torch.dtype) -> Tensor:
    return tensor.to(new) if tensor.dtype == old else tensor


def largest_number(value: object) -> float:
    """The largest number in a value of a config, whose lists may be nested."""
    if isinstance(value, list):
        return max(map(largest_number, value), default=0)
    return abs(value) if isinstance(value, int | float) else 0


def describe_tensor(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
