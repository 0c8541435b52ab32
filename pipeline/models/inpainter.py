"""The inpainter: both models and how to decode with them, put together here and nowhere else."""

import json
from pathlib import Path

from pydantic import ValidationError

from maskgit.inpainting.inpainter import Inpainter
from maskgit.inpainting.kinds import make_inpainter
from maskgit.inpainting.lab import LabChoices
from maskgit.schedules import ENTROPIC, SCHEDULES, Gamma, entropic
from maskgit.tokenizer.kinds import TOKENIZERS
from maskgit.transformer.kinds import TRANSFORMERS
from pipeline.models.checkpoints import load_model
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import (
    DECODING,
    MODEL,
    TOKENIZER,
    TRANSFORMER,
    UNCERTAINTY,
    read_table,
)
from pipeline.plumbing.params import Decoding, Sampler, one_line


def read_decoding(path: Path = DECODING, **changes: object) -> Decoding:
    """How the models fill holes, as the report wrote it. Raises UserError.

    changes: a command's options, each in place of a value where it is not None.
    """
    try:
        kept = Decoding.model_validate(json.loads(path.read_text()))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run 'dvc repro' to make it") from None
    except (ValueError, RecursionError):
        raise UserError(f"{path} is damaged; 'dvc repro' makes it again") from None
    wanted = {name: value for name, value in changes.items() if value is not None}
    try:
        return Decoding.model_validate(kept.model_dump() | wanted)
    except ValidationError as error:
        raise UserError(f"--{one_line(error)}") from None


def load_inpainter(
    sampler: Sampler,
    tokenizer: Path = TOKENIZER / MODEL,
    transformer: Path = TRANSFORMER / MODEL,
) -> Inpainter:
    """Of two checkpoints, those of the pipeline if no others are named. Raises UserError."""
    return make_inpainter(
        sampler.decoder,
        load_model(tokenizer, TOKENIZERS),
        load_model(transformer, TRANSFORMERS),
        sampler.temperature,
        sampler.choice_temperature,
        sampler.seamless,
        LabChoices(**sampler.lab.model_dump()),
    )


def load_gamma(name: str, uncertainty: Path = TRANSFORMER / UNCERTAINTY) -> Gamma:
    """A mask schedule; the entropic one as measured on the transformer. Raises UserError."""
    if name != ENTROPIC:
        return SCHEDULES[name]
    return entropic(read_table(uncertainty)["nats"])
