"""Models on disk: safetensors, with the constructor's arguments in the file's metadata."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from maskgit.optim import keep_freed_memory
from pipeline.errors import UserError
from pipeline.files import check_sum, write_whole

Model = TypeVar("Model", bound=nn.Module)

# No checkpoint describes more: reading its sizes must not cost time or memory.
MAX_SIZE, MAX_BLOCKS = 2**16, 1000


def best_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def build(kind: type[Model], config: dict) -> Model:
    """A fresh model on the best device; convolutions keep channels last, faster on processors."""
    keep_freed_memory()
    return kind(**config).to(best_device(), memory_format=torch.channels_last)


def save_model(path: Path, config: dict, model: nn.Module) -> None:
    """Writes a model; `config` holds its constructor's arguments."""
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    described = {"kind": type(model).__name__, "config": config}
    # one entry: safetensors writes several in any order, and the same model has the same bytes
    write_whole(path, save(state, metadata={"model": json.dumps(described)}))


def load_model(path: Path, kinds: Sequence[type[Model]]) -> Model:
    """The model, of one of these kinds, in evaluation mode.

    Raises UserError if the file is missing or not such a model.
    """
    check_sum(path)
    try:
        with safe_open(path, "pt") as file:
            described = json.loads((file.metadata() or {}).get("model", "{}"))
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({error}); 'dvc repro' makes it again") from None
    named = described.get("kind") if isinstance(described, dict) else None
    kind = next((kind for kind in kinds if kind.__name__ == named), None)
    if kind is None:
        names = " or ".join(kind.__name__ for kind in kinds)
        raise UserError(f"{path} is not a {names} checkpoint of this project")
    config = described.get("config")
    fault = misfit(kind, config, state)
    if fault:
        raise UserError(f"{path}: {fault}; 'dvc repro' makes it again")
    model = build(kind, config)
    model.load_state_dict(state)
    return model.eval()


def misfit(kind: type[nn.Module], config: object, state: dict[str, Tensor]) -> str:
    """Why these weights are none of the model that `config` describes, or ''.

    The model is made without memory ("meta"), so that absurd sizes cost nothing.
    """
    if not isinstance(config, dict) or any(
        largest(value) > (MAX_BLOCKS if name.endswith(("blocks", "layers")) else MAX_SIZE)
        for name, value in config.items()
    ):
        return "its sizes are beyond any model of this project"
    try:
        with torch.device("meta"):
            expected = kind(**config).state_dict()
    except (TypeError, ValueError, ArithmeticError, LookupError, RuntimeError, AssertionError):
        return f"its sizes make no {kind.__name__}"
    for name in sorted(expected.keys() | state.keys()):
        if name not in state:
            return f"weights {name} are missing, expected {described_tensor(expected[name])}"
        if name not in expected:
            return f"weights {name} belong to no {kind.__name__} of its sizes"
        found, wanted = described_tensor(state[name]), described_tensor(expected[name])
        if found != wanted:
            return f"weights {name} are {found}, expected {wanted}"
        if not state[name].isfinite().all():
            return f"weights {name} are not finite"
    return ""


def largest(value: object) -> float:
    """The largest number in a value of a config, whose lists may be nested."""
    if isinstance(value, list):
        return max(map(largest, value), default=0)
    return abs(value) if isinstance(value, int | float) else 0


def described_tensor(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
