"""Reads and makes model folders: a trained inpainter that can be copied, published and loaded.

A model folder holds `config.json`, `tokenizer.safetensors`, `transformer.safetensors`, and
`README.md`, the model card; for the mean reading also `mean_decoder.safetensors`. A tokenizer and a
transformer that were not trained with each other fill holes with noise, so each carries the hash of
the other's weights, and a pair that does not match is refused. A decoder of mean codes carries the
hash of its transformer's weights. Where SHA256SUMS lies beside them, weights must agree with it.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, ValidationError

from maskgit.checkpoints import BadCheckpoint, Checkpoint, read_checkpoint
from maskgit.checksums import agrees_with_sums
from maskgit.inpainting.settings import Decoding
from maskgit.trained_on import TrainedOn
from maskgit.validation import Positive, Section, fault_of

CONFIG, CARD = "config.json", "README.md"
PARTS = "tokenizer", "transformer"
MEAN_DECODER = "mean_decoder"  # a part that a folder may lack


class BadModel(ValueError):
    """Raised for a faulty model folder; its message is one line."""


class Config(Section):
    """The content of `config.json`: how holes are filled, and what the model was trained on."""

    format: Literal[1] = 1
    decoding: Decoding
    uncertainty: Annotated[list[Positive], Field(min_length=1)]  # see `schedules.entropic`
    trained_on: TrainedOn
    # Kind and sizes, as the weights' own files say.
    networks: dict[str, dict] = Field(default_factory=dict)


class ModelFolder(NamedTuple):
    """The content of a model folder that was read."""

    config: Config
    tokenizer: Checkpoint
    transformer: Checkpoint
    mean_decoder: Checkpoint | None

    def check(self, folder: Path) -> None:
        """Raises BadModel where the parts were not trained with each other or `config` differs."""
        pair, drawer = (self.tokenizer, self.transformer), self.mean_decoder
        partners = self.transformer.partner, self.tokenizer.partner
        if tuple(part.weights_hash() for part in pair) != partners:
            raise BadModel(f"{folder}: its tokenizer and its transformer do not belong together")
        if drawer is not None and drawer.partner != self.tokenizer.partner:
            raise BadModel(f"{folder}: its mean_decoder does not belong to its transformer")
        if self.config.networks != describe_networks(*pair, drawer):
            raise BadModel(f"{folder / CONFIG} describes other networks than lie beside it")


def folder_files(
    config: Config,
    tokenizer: Checkpoint,
    transformer: Checkpoint,
    mean_decoder: Checkpoint | None,
    card: str,
) -> dict[str, bytes]:
    """Returns the files of a model folder by name; each network gets its partner's weights hash."""
    config = config.changed(networks=describe_networks(tokenizer, transformer, mean_decoder))
    hashes = tokenizer.weights_hash(), transformer.weights_hash()
    pair = replace(tokenizer, partner=hashes[1]), replace(transformer, partner=hashes[0])
    parts = list(zip(PARTS, pair, strict=True))
    if mean_decoder is not None:
        parts.append((MEAN_DECODER, replace(mean_decoder, partner=hashes[1])))
    return {
        CONFIG: (config.model_dump_json(indent=2) + "\n").encode(),
        **{f"{name}.safetensors": part.to_bytes() for name, part in parts},
        CARD: card.encode(),
    }


def read_model_folder(folder: Path) -> ModelFolder:
    """Reads a model folder. Raises BadModel where a file is missing or cannot be read.

    `restore` then checks whether the weights fit their networks, and `ModelFolder.check` whether
    the networks were trained with each other.
    """
    if not folder.is_dir():
        raise BadModel(
            f"{folder} is not a model folder" if folder.exists() else missing_message(folder)
        )
    try:
        config = Config.model_validate(json.loads((folder / CONFIG).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise BadModel(missing_message(folder / CONFIG)) from None
    except OSError as error:
        raise BadModel(f"{folder / CONFIG} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise BadModel(f"{folder / CONFIG}: {fault_of(error)}") from None
    except (ValueError, RecursionError):
        raise BadModel(f"{folder / CONFIG} is damaged") from None
    parts = []
    for name in (*PARTS, MEAN_DECODER):
        path = folder / f"{name}.safetensors"
        if name == MEAN_DECODER and name not in config.networks:
            parts.append(None)
            continue
        if not path.is_file():
            raise BadModel(missing_message(path))
        try:
            if not agrees_with_sums(path):
                raise BadModel(f"{path} is damaged: its checksum differs")
            parts.append(read_checkpoint(path))
        except BadCheckpoint as error:
            raise BadModel(f"{path} {error}") from None
        except OSError as error:
            raise BadModel(f"{path} cannot be read: {error.strerror}") from None
    return ModelFolder(config, *parts)


def describe_networks(*parts: Checkpoint | None) -> dict[str, dict]:
    """Returns kind and sizes of the networks that there are, as in `Config.networks`.

    parts: tokenizer, transformer and, if there is one, the decoder of mean codes.
    """
    named = zip((*PARTS, MEAN_DECODER), parts, strict=True)
    return {name: {"kind": part.kind} | part.config for name, part in named if part is not None}


def missing_message(path: Path) -> str:
    """Returns the message for a missing file or folder."""
    return f"{path} does not exist"
