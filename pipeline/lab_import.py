"""Models of the original lab, from the user's files: read without running code, and checked.

Everything that does not fit is a UserError of one line that says what was expected.
"""

import json
import math
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, Field, ValidationError
from safetensors import safe_open
from torch import Tensor, nn

from maskgit.lab_transformer import LabTransformer
from maskgit.lab_vqgan import LabVQGAN
from pipeline.checkpoints import Model, build
from pipeline.errors import UserError
from pipeline.files import file_hash, project_root
from pipeline.params import Count, one_line, read_yaml

HEADS = 16  # of the lab's transformer; no shape in its file tells
PREFIX = "transformer."  # where a student saved the transformer as a part of something larger
NAMED = 3  # faults, of all that a file has

Width = Annotated[int, Field(ge=32, le=4096, multiple_of=32)]  # norms have 32 groups
Widths = Annotated[list[Width], Field(min_length=2, max_length=16)]


class ModelParam(BaseModel):
    """What VQGAN.yml says about the layers; the rest of it, such as `beta`, is about training."""

    image_channels: Literal[3]
    enc_channels: Widths
    dec_channels: Widths
    latent_dim: Annotated[int, Field(ge=1, le=4096)]
    img_resolution: Annotated[int, Field(ge=4, le=256)]
    latent_resolution: Annotated[int, Field(ge=1, le=256)]
    num_codebook_vectors: Annotated[int, Field(ge=2, le=65535)]


class TokenizerFile(BaseModel):
    model_param: ModelParam


class TransformerSizes(BaseModel):
    """Limits on what the shapes in a transformer's file may say."""

    dim: Annotated[int, Field(ge=HEADS, le=8192, multiple_of=HEADS)]
    hidden_dim: Annotated[int, Field(ge=1, le=65536)]
    layers: Annotated[Count, Field(le=256)]


def import_tokenizer(checkpoint: str, size: int, folder: Path) -> tuple[dict, LabVQGAN]:
    """The tokenizer of `vqgan.checkpoint`, with the constructor's arguments.

    Its sizes are in the YAML file beside it. size: of the images, `data.size`. folder: the stage's
    output, where imported.json says what was read.
    """
    path = project_root() / checkpoint
    config = tokenizer_config(yaml_beside(path))
    resolution = config["img_resolution"]
    if resolution != size:
        raise UserError(
            f"{path} is for images of {resolution} pixels; set data.size={resolution}, now {size}"
        )
    model = fitted(LabVQGAN, config, read_weights(path), path)
    note_origin(folder, "tokenizer", path)
    return config, model


def import_transformer(
    checkpoint: str, codes: int, tokens: int, folder: Path
) -> tuple[dict, LabTransformer]:
    """The transformer of `train.checkpoint`, with the constructor's arguments.

    codes: of the tokenizer. tokens: of an image. folder: as for the tokenizer.
    """
    path = project_root() / checkpoint
    state = {key.removeprefix(PREFIX): tensor for key, tensor in read_weights(path).items()}
    config = transformer_config(state, path)
    for name, own, expected in (
        ("codes", config["codebook_size"], codes),
        ("tokens an image", config["grid"] ** 2, tokens),
    ):
        if own != expected:
            raise UserError(f"{path} is for {own} {name}, but the tokenizer has {expected}")
    model = fitted(LabTransformer, config, state, path)
    note_origin(folder, "transformer", path)
    return config, model


def yaml_beside(path: Path) -> Path:
    """The YAML file with the same stem."""
    for suffix in (".yml", ".yaml"):
        if path.with_suffix(suffix).is_file():
            return path.with_suffix(suffix)
    raise UserError(
        f"{path.with_suffix('.yml')} does not exist; it says how {path.name} is built, "
        "so put it beside that file"
    )


def tokenizer_config(path: Path) -> dict:
    """LabVQGAN's arguments, from the lab's YAML file."""
    values = read_yaml(path, expected="a section 'model_param:'")
    try:
        config = TokenizerFile.model_validate(values).model_param.model_dump()
        with torch.device("meta"):  # without memory for its weights
            LabVQGAN(**config)
    except ValidationError as error:
        raise UserError(f"{path}: {one_line(error)}") from None
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    return config


def transformer_config(state: dict[str, Tensor], path: Path) -> dict:
    """LabTransformer's arguments, from the shapes of its weights."""

    def shape(key: str) -> tuple[int, int]:
        if key not in state or state[key].ndim != 2:
            found = f"has shape {tuple(state[key].shape)}" if key in state else "is missing"
            raise UserError(
                f"{path} is no transformer of the lab: {key} {found}, expected a matrix"
            )
        return tuple(state[key].shape)

    rows, dim = shape("tok_emb.weight")
    places, _ = shape("pos_emb")
    hidden_dim, _ = shape("blocks.0.MLP.0.weight")
    layers = len({key.split(".")[1] for key in state if key.startswith("blocks.")})
    try:
        sizes = TransformerSizes(dim=dim, hidden_dim=hidden_dim, layers=layers)
    except ValidationError as error:
        raise UserError(f"{path}: {one_line(error)}") from None
    return sizes.model_dump() | {
        "codebook_size": rows - 1,
        "grid": math.isqrt(places),
        "heads": HEADS,
        "fused": "blocks.0.Attention.qkv.weight" in state,
    }


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a plain state dict, from safetensors or from torch.save; no code is run."""
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
    return state


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
        faults = misfits(kind(**config), state)
    if faults:
        more = f"; and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
        raise UserError(f"{path} does not fit: {'; '.join(faults[:NAMED])}{more}")
    broken = next((key for key, value in state.items() if not value.isfinite().all()), None)
    if broken is not None:
        raise UserError(f"{path}: {broken} holds values that are not finite numbers")
    model = build(kind, config)
    model.load_state_dict(state)
    return model.eval()


def misfits(model: nn.Module, state: dict[str, Tensor]) -> list[str]:
    """Every key that is missing, of another shape, or not expected, in words."""
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in state.items()}
    missing = [f"{key} {shape} is missing" for key, shape in expected.items() if key not in found]
    wrong = [
        f"{key} should be {shape}, but is {found[key]}"
        for key, shape in expected.items()
        if found.get(key, shape) != shape
    ]
    kind = type(model).__name__
    extra = [f"{key!r:.80} is not part of a {kind}" for key in found if key not in expected]
    return missing + wrong + extra


def note_origin(folder: Path, what: str, path: Path) -> None:
    """Says and writes down which file it was: DVC does not watch it."""
    digest = file_hash(path)
    origin = {"file": str(path), "sha256": digest}
    (folder / "imported.json").write_text(json.dumps(origin, indent=2) + "\n")
    print(f"{what} imported from {path}, sha256 {digest}")
