"""Reads and writes models: our checkpoints (`maskgit.checkpoints`), and weights from elsewhere.

Faults are a UserError of one line that says what was expected.
"""

import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from maskgit.checkpoints import (
    BadCheckpoint,
    Checkpoint,
    ForeignCheckpoint,
    Model,
    build,
    checkpoint_of,
    read_checkpoint,
    restore,
    state_dict_mismatch,
)
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import write_atomically
from pipeline.plumbing.hashing import file_hash, verify_checksum
from pipeline.plumbing.places import project_root


def save_model(path: Path, config: dict, model: nn.Module) -> None:
    """Writes a model; `config` holds its constructor's arguments."""
    write_atomically(path, checkpoint_of(config, model).to_bytes())


def read_model(path: Path) -> Checkpoint:
    """Reads a checkpoint that a stage saved. Raises UserError if it is missing or damaged."""
    verify_checksum(path)
    with _one_line(path):
        return read_checkpoint(path)


def load_model(path: Path, kinds: Sequence[type[Model]]) -> Model:
    """Returns the network that a stage saved, of one of these kinds, in evaluation mode.

    Raises UserError if the file is missing or not such a network.
    """
    checkpoint = read_model(path)
    with _one_line(path):
        return restore(checkpoint, kinds)


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except ForeignCheckpoint as error:
        raise UserError(f"{path} {error}") from None
    except BadCheckpoint as error:
        raise UserError(f"{path} {error}; 'dvc repro' makes it again") from None


# Weights from elsewhere, which are not trusted and are read without running code

MOST_SHARED = 2  # as many bytes of weights as of the file: two layers may share their weights


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads a state dict, from safetensors or torch.save, as float32, without running code."""
    if not path.is_file():
        raise UserError(f"{path} does not exist; a path is relative to the project's folder")
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        else:
            check_size(path)
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # untrusted bytes may cause any kind
        fault = " ".join(str(error).split())[:120]
        raise UserError(
            f"{path} is refused ({type(error).__name__}: {fault}...); it should be a plain state "
            "dict: torch.save(model.state_dict(), path)"
        ) from None
    odd = None if isinstance(state, dict) else type(state).__name__
    if odd is None:
        odd = next((f"{k!r:.60}" for k, v in state.items() if not is_weight(k, v)), None)
    if odd is not None:
        raise UserError(
            f"{path}: expected names and dense tensors of numbers only, but found {odd}"
        )
    most = MOST_SHARED * path.stat().st_size
    if sum(value.numel() * value.element_size() for value in state.values()) > most:
        raise UserError(f"{path} is refused: many of its weights share their numbers")
    return {key: value.float() for key, value in state.items()}


def check_size(path: Path) -> None:
    """Raises ValueError for a file of torch.save that would take more memory than its bytes."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("a compressed file, as torch.save writes none")
            pickles = [name for name in archive.namelist() if name.endswith(".pkl")]
            pickled = b"".join(map(archive.read, pickles))
    else:
        pickled = path.read_bytes()
    if b"bytearray" in pickled:  # torch would make one of any length
        raise ValueError("it makes a bytearray")


def is_weight(key: object, value: object) -> bool:
    """Returns whether an entry is a name and a dense tensor, not a view that repeats numbers."""
    return (
        isinstance(key, str)
        and isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and value.is_floating_point()
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )


def build_from_state(
    kind: type[Model], config: dict, state: dict[str, Tensor], path: Path
) -> Model:
    """Makes a model with these weights, in evaluation mode. Raises UserError if they do not fit."""
    with torch.device("meta"):  # without memory for its weights
        fault = state_dict_mismatch(kind(**config), state)
    if fault:
        raise UserError(f"{path} {fault}")
    model = build(kind, config)
    model.load_state_dict(state)
    return model.eval()


def record_origin(folder: Path, what: str, path: Path) -> None:
    """Prints an imported file and its sha256, and writes both to imported.json.

    A path in the project is written from its root, so that it is the same in every copy.
    """
    digest, root = file_hash(path), project_root()
    file = path.relative_to(root) if path.is_relative_to(root) else path
    origin = {"file": str(file), "sha256": digest}
    (folder / "imported.json").write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")
    print(f"{what} imported from {path}, sha256 {digest}")
