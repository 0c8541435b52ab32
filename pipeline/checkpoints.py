"""Models on disk: safetensors, with the constructor's arguments in the file's metadata."""

import json
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from maskgit.optim import keep_freed_memory
from pipeline.errors import UserError

Model = TypeVar("Model", bound=nn.Module)


def best_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def build(kind: type[Model], config: dict) -> Model:
    """A fresh model on the best device; convolutions keep channels last, faster on processors."""
    keep_freed_memory()
    return kind(**config).to(best_device(), memory_format=torch.channels_last)


def save_model(path: Path, config: dict, model: nn.Module) -> None:
    """Writes beside the target and renames, so that a checkpoint is whole or absent."""
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    metadata = {"kind": type(model).__name__, "config": json.dumps(config)}
    partial = path.with_suffix(".partial")
    save_file(state, partial, metadata=metadata)
    partial.replace(path)


def load_model(path: Path, kind: type[Model]) -> Model:
    """The model in evaluation mode. Raises UserError if the file is missing or not such a model."""
    if not path.is_file():
        raise UserError(f"{path} does not exist; run 'dvc repro' to make it")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} cannot be read ({error}); delete it and run 'dvc repro'") from None
    if metadata.get("kind") != kind.__name__:
        raise UserError(f"{path} is not a {kind.__name__} checkpoint of this project")
    model = build(kind, json.loads(metadata["config"]))
    model.load_state_dict(state)
    return model.eval()
