"""Models on disk: safetensors, with the constructor's arguments in the file's metadata."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from maskgit.optim import keep_freed_memory
from pipeline.errors import UserError
from pipeline.files import check_sum, write_whole

Model = TypeVar("Model", bound=nn.Module)


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
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} cannot be read ({error}); 'dvc repro' makes it again") from None
    kind = {kind.__name__: kind for kind in kinds}.get(described.get("kind"))
    if kind is None:
        names = " or ".join(kind.__name__ for kind in kinds)
        raise UserError(f"{path} is not a {names} checkpoint of this project")
    model = build(kind, described["config"])
    model.load_state_dict(state)
    return model.eval()
