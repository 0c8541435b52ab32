"""A project's folder with small trained models in it, for tests that fill pictures."""

import re
from pathlib import Path

import torch

from maskgit.checkpoints import read_checkpoint
from maskgit.data.known_pixels import KNOWN_CHANNELS
from maskgit.mean.decoder import MeanDecoder, copied_layers
from maskgit.mean.settings import MeanDecoderSize, taught_config
from maskgit.model_folder import Config, folder_files
from maskgit.tokenizer.vqgan import VQGAN
from maskgit.trained_on import TrainedOn
from maskgit.transformer.guidance import GuidedTransformer
from maskgit.transformer.kinds import Transformer
from pipeline.models.checkpoints import save_model
from pipeline.plumbing.params import load_params
from pipeline.plumbing.places import (
    MEAN_DECODER,
    MODEL,
    MODEL_FOLDER,
    TOKENIZER,
    TRANSFORMER,
    UNCERTAINTY,
)
from tests.clone import ROOT

KMEANS = {"quantizer": "kmeans", "codebook_size": 32}
FSQ = {"quantizer": "fsq", "codebook_size": 64}


def save_small_models(folder: Path, quantizer: dict = KMEANS, **choices: str) -> None:
    """As a finished pipeline leaves them, with random weights; `choices` stand in params.yaml."""
    torch.manual_seed(0)
    sizes = {"channels": 16, "decoder_blocks": 1, "latent_dim": 4} | quantizer
    tokenizer = VQGAN(**sizes)
    codes = tokenizer.codebook.unit_vectors
    plan = {"codebook_size": len(codes), "latent_dim": codes.shape[1]}
    plan |= {"dim": 16, "heads": 2, "layers": 1}
    transformer = GuidedTransformer(**plan)
    for parameter in transformer.parameters():  # it starts as the uniform guess
        torch.nn.init.normal_(parameter, std=0.2)
    for network in (transformer.trained, transformer.guide):
        network.set_codebook(codes)
    drawn = taught_config(sizes, MeanDecoderSize(), copied_layers(transformer))
    drawer = taught_decoder(tokenizer, transformer)
    for path, config, model in (
        (TOKENIZER, sizes, tokenizer),
        (TRANSFORMER, plan, transformer),
        (MEAN_DECODER, drawn, drawer),
    ):
        (folder / path).mkdir(parents=True)
        save_model(folder / path / MODEL, config, model)
    (folder / TRANSFORMER / UNCERTAINTY).write_text("hidden_share,nats\n0.5,3.0\n1.0,4.0\n")
    write_params(folder, **choices)
    config = Config(
        decoding=load_params(folder).decoding,
        uncertainty=[3.0, 4.0],
        trained_on=TrainedOn(
            source="nothing", sha256="", images=0, size=64, holes=["box"], hole_area=(0.1, 0.2)
        ),
    )
    places = TOKENIZER, TRANSFORMER, MEAN_DECODER
    parts = [read_checkpoint(folder / path / MODEL) for path in places]
    (folder / MODEL_FOLDER).mkdir()
    for name, content in folder_files(config, *parts, "a card").items():
        (folder / MODEL_FOLDER / name).write_bytes(content)


def taught_decoder(
    tokenizer: VQGAN, transformer: Transformer, copied: dict[str, int] | None = None
) -> MeanDecoder:
    """A decoder of mean codes that sees noise and, unless `copied` is {}, the transformer's stream.

    Random weights stand for what is taught: as copied it would see neither.
    """
    latent_dim = tokenizer.decoder.from_codes.in_channels
    sizes = {"channels": 16, "decoder_blocks": 1, "latent_dim": latent_dim}
    copied = copied_layers(transformer) if copied is None else copied
    config = taught_config(sizes, MeanDecoderSize(), copied)
    drawer = MeanDecoder(**config).copy_weights(tokenizer, transformer)
    torch.nn.init.normal_(drawer.decoder.from_pixels.weight[:, KNOWN_CHANNELS:], std=0.2)
    torch.nn.init.normal_(drawer.decoder.from_codes.weight[:, latent_dim:], std=0.05)
    return drawer


def write_params(folder: Path, **choices: str) -> None:
    """The repository's params.yaml and presets.yaml, with other values at the keys named."""
    text = (ROOT / "params.yaml").read_text()
    for key, value in choices.items():
        text, found = re.subn(rf"^( *{key}:) [^#\n]*", rf"\1 {value}  ", text, flags=re.M)
        assert found == 1, key
    (folder / "params.yaml").write_text(text)
    (folder / "presets.yaml").write_text((ROOT / "presets.yaml").read_text())
