"""Writes the pipeline's models and settings as a model folder."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from maskgit.model_folder import Config, folder_files
from maskgit.trained_on import TrainedOn
from maskgit.transformer.guidance import GuidedTransformer, without_guide
from pipeline.models.checkpoints import read_model
from pipeline.plumbing.files import load_array
from pipeline.plumbing.hashing import content_hash
from pipeline.plumbing.params import Params
from pipeline.plumbing.places import (
    MEAN_DECODER,
    MODEL,
    PREPARED,
    TOKENIZER,
    TRAINED_ON,
    TRANSFORMER,
    has_mean_decoder,
)


def name_of_source(source: str) -> str:
    """Returns the name of `data.source`; `synthetic` for the drawn cats alone."""
    name = Path(source).name
    return f"./{name}" if name == "synthetic" != source else name


def trained_on(params: Params) -> TrainedOn:
    """Returns what the pipeline's networks were trained on, here or where they come from."""
    if params.keeps_transformer:
        return TrainedOn.model_validate_json((TRANSFORMER / TRAINED_ON).read_bytes())
    train = load_array(PREPARED / "train.npy", mmap_mode="r")
    if params.train.checkpoint:
        return TrainedOn(
            source=f"imported from {Path(params.train.checkpoint).name}",
            sha256="",
            images=0,
            size=train.shape[1],
            holes=[],
            hole_area=params.data.hole_area,
        )
    return TrainedOn(
        source=name_of_source(params.data.source),
        sha256=content_hash(PREPARED),
        images=len(train) // params.data.training_images,
        size=train.shape[1],
        holes=params.data.hole_kinds,
        hole_area=params.data.hole_area,
        drafts=params.drafts,
    )


def write_model_folder(
    folder: Path, params: Params, uncertainty: pd.DataFrame, card: Callable[[Config], str]
) -> None:
    """Writes the files of a model folder. Raises UserError.

    uncertainty: of the transformer, with column `nats`. card: makes the model card from the config.
    """
    tokenizer, transformer = read_model(TOKENIZER / MODEL), read_model(TRANSFORMER / MODEL)
    decoding = params.decoding
    if transformer.kind != GuidedTransformer.__name__:
        decoding = decoding.changed(guidance=0.0)  # it has no guide
    config = Config(
        decoding=decoding,
        uncertainty=uncertainty["nats"].tolist(),
        trained_on=trained_on(params),
    )
    if not config.decoding.guidance:
        transformer = without_guide(transformer)
    drawer = read_model(MEAN_DECODER / MODEL) if has_mean_decoder() else None
    files = folder_files(config, tokenizer, transformer, drawer, card(config))
    for name, content in files.items():
        (folder / name).write_bytes(content)
