"""Imports the original lab's transformer from the user's file."""

import math
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError
from torch import Tensor

from maskgit.lab.transformer import LabTransformer
from pipeline.models.checkpoints import build_from_state, read_weights, record_origin
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.params import Count, one_line
from pipeline.plumbing.places import project_root

HEADS = 16  # of the lab's transformer; no shape in its file depends on it
PREFIX = "transformer."  # of keys where the transformer was saved as part of a larger model


class TransformerSizes(BaseModel):
    """Limits on the sizes of a transformer's file."""

    dim: Annotated[int, Field(ge=HEADS, le=8192, multiple_of=HEADS)]
    hidden_dim: Annotated[int, Field(ge=1, le=65536)]
    layers: Annotated[Count, Field(le=256)]


def import_transformer(
    checkpoint: str, codes: int, tokens: int, folder: Path
) -> tuple[dict, LabTransformer]:
    """Returns the constructor's arguments and the transformer of `train.checkpoint`.

    codes: number of the tokenizer's codes. tokens: number of an image's tokens. folder: the stage's
    output, into which imported.json is written. Raises UserError.
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
    model = build_from_state(LabTransformer, config, state, path)
    record_origin(folder, "transformer", path)
    return config, model


def transformer_config(state: dict[str, Tensor], path: Path) -> dict:
    """Returns LabTransformer's arguments from the shapes of its weights. Raises UserError."""

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
