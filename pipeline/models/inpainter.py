"""Loads the pipeline's tokenizer and transformer, and makes inpainters of them."""

from maskgit.inpainting.inpainter import Inpainter
from maskgit.inpainting.kinds import make_inpainter, make_mean_inpainter
from maskgit.inpainting.mean import MeanInpainter
from maskgit.inpainting.settings import Sampler
from maskgit.mean.decoder import MeanDecoder
from maskgit.tokenizer.kinds import Tokenizer, tokenizer_kinds
from maskgit.transformer.kinds import Transformer, transformer_kinds
from pipeline.models.checkpoints import load_model
from pipeline.plumbing.files import read_table
from pipeline.plumbing.places import MEAN_DECODER, MODEL, TOKENIZER, TRANSFORMER, UNCERTAINTY


def load_networks() -> tuple[Tokenizer, Transformer]:
    """Loads the trained tokenizer and transformer. Raises UserError."""
    tokenizer = load_model(TOKENIZER / MODEL, tokenizer_kinds())
    return tokenizer, load_model(TRANSFORMER / MODEL, transformer_kinds())


def load_inpainter(sampler: Sampler) -> Inpainter:
    """Loads the trained networks as an inpainter with these settings. Raises UserError."""
    return make_inpainter(sampler, *load_networks())


def load_mean_inpainter(sampler: Sampler) -> MeanInpainter:
    """Loads the trained networks as an inpainter of the mean reading. Raises UserError."""
    drawer = load_model(MEAN_DECODER / MODEL, [MeanDecoder])
    return make_mean_inpainter(sampler, *load_networks(), drawer)


def load_uncertainty() -> list[float]:
    """Reads the transformer's uncertainty in nats, for schedule `entropic`. Raises UserError."""
    return read_table(TRANSFORMER / UNCERTAINTY)["nats"].tolist()
