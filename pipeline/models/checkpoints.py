"""Models on disk: ours, and weights from elsewhere.

Ours are safetensors, with the constructor's arguments in the file's metadata. Whatever does not fit
is a UserError of one line that says what was expected.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from maskgit.device import best_device
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import check_sum, file_hash, write_whole

Model = TypeVar("Model", bound=nn.Module)

# No checkpoint describes more: reading its sizes must not cost time or memory.
MAX_SIZE, MAX_BLOCKS = 2**16, 1000
NAMED = 3  # faults, of all that a file has


def build(kind: type[Model], config: dict) -> Model:
    """A fresh model on the best device; convolutions keep channels last, faster on processors."""
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
    try:
        fault = misfit(skeleton(kind, config), state)
    except ValueError as error:
        fault = str(error)
    if fault:
        raise UserError(f"{path} {fault}; 'dvc repro' makes it again")
    model = build(kind, config)
    model.load_state_dict(state)
    return model.eval()


def skeleton(kind: type[Model], config: object) -> Model:
    """The model that `config` describes, without memory for its weights ("meta").

    Raises ValueError where it describes none, so that absurd sizes cost nothing.
    """
    if not isinstance(config, dict) or any(
        largest(value) > (MAX_BLOCKS if name.endswith(("blocks", "layers")) else MAX_SIZE)
        for name, value in config.items()
    ):
        raise ValueError("has sizes beyond any model of this project")
    try:
        with torch.device("meta"):
            return kind(**config)
    except (TypeError, ValueError, ArithmeticError, LookupError, RuntimeError, AssertionError):
        raise ValueError(f"has sizes that make no {kind.__name__}") from None


def misfit(model: nn.Module, state: dict[str, Tensor]) -> str:
    """Which of these weights are not those of `model` (which may be a skeleton), or ''.

    Names the first few that are missing, of another shape or kind, not expected, or not finite.
    """
    expected = {key: described_tensor(value) for key, value in model.state_dict().items()}
    found = {key: described_tensor(value) for key, value in state.items()}
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


def largest(value: object) -> float:
    """The largest number in a value of a config, whose lists may be nested."""
    if isinstance(value, list):
        return max(map(largest, value), default=0)
    return abs(value) if isinstance(value, int | float) else 0


def described_tensor(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


# Weights from elsewhere: anybody's bytes, read without running code


def read_weights(path: Path) -> dict[str, Tensor]:
    """A plain state dict, in float32, from safetensors or from torch.save; no code is run."""
    if not path.is_file():
        raise UserError(f"{path} does not exist; a path is relative to the project's folder")
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of any kind: the bytes are anybody's
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
    return {key: value.float() for key, value in state.items()}


def is_weight(key: object, value: object) -> bool:
    """True for what a model's weights can be; a view that repeats few numbers cannot."""
    return (
        isinstance(key, str)
        and isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and value.is_floating_point()
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )


def fitted(kind: type[Model], config: dict, state: dict[str, Tensor], path: Path) -> Model:
    """A model with these weights, in evaluation mode, if every key and shape is as it should be."""
    with torch.device("meta"):  # without memory for its weights
        fault = misfit(kind(**config), state)
    if fault:
        raise UserError(f"{path} {fault}")
    model = build(kind, config)
    model.load_state_dict(state)
    return model.eval()


def note_origin(folder: Path, what: str, path: Path) -> None:
    """Says and writes down which file it was: DVC does not watch it."""
    digest = file_hash(path)
    origin = {"file": str(path), "sha256": digest}
    (folder / "imported.json").write_text(json.dumps(origin, indent=2) + "\n")
    print(f"{what} imported from {path}, sha256 {digest}")
