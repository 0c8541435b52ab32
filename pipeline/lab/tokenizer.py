"""Imports the original lab's tokenizer from the user's VQGAN.pt and VQGAN.yml."""

from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, Field, ValidationError

from maskgit.lab.tokenizer import LabVQGAN
from pipeline.models.checkpoints import build_from_state, read_weights, record_origin
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.params import one_line
from pipeline.plumbing.places import project_root
from pipeline.plumbing.yaml_files import read_yaml

Width = Annotated[int, Field(ge=32, le=4096, multiple_of=32)]  # norms have 32 groups
Widths = Annotated[list[Width], Field(min_length=2, max_length=16)]


class ModelParam(BaseModel):
    """The sizes of layers in VQGAN.yml; the rest of the file, such as `beta`, is for training."""

    image_channels: Literal[3]
    enc_channels: Widths
    dec_channels: Widths
    latent_dim: Annotated[int, Field(ge=1, le=4096)]
    img_resolution: Annotated[int, Field(ge=4, le=256)]
    latent_resolution: Annotated[int, Field(ge=1, le=256)]
    num_codebook_vectors: Annotated[int, Field(ge=2, le=65535)]


class TokenizerFile(BaseModel):
    """The part of VQGAN.yml that is read."""

    model_param: ModelParam


def import_tokenizer(checkpoint: str, size: int, folder: Path) -> tuple[dict, LabVQGAN]:
    """Returns the constructor's arguments and the tokenizer of `vqgan.checkpoint`.

    Its sizes are in the YAML file beside it. size: of the images, `data.size`. folder: the stage's
    output, into which imported.json is written. Raises UserError.
    """
    path = project_root() / checkpoint
    config = tokenizer_config(yaml_beside(path))
    resolution = config["img_resolution"]
    if resolution != size:
        raise UserError(
            f"{path} is for images of {resolution} pixels; set data.size={resolution}, now {size}"
        )
    model = build_from_state(LabVQGAN, config, read_weights(path), path)
    record_origin(folder, "tokenizer", path)
    return config, model


def yaml_beside(path: Path) -> Path:
    """Returns the YAML file with the same stem. Raises UserError where there is none."""
    for suffix in (".yml", ".yaml"):
        if path.with_suffix(suffix).is_file():
            return path.with_suffix(suffix)
    raise UserError(
        f"{path.with_suffix('.yml')} does not exist; it says how {path.name} is built, "
        "so put it beside that file"
    )


def tokenizer_config(path: Path) -> dict:
    """Returns LabVQGAN's arguments from the lab's YAML file. Raises UserError."""
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
