"""The pipeline's own tokenizer and transformer, put together as a stage wants them."""

from maskgit.inpainting.inpainter import Inpainter
from maskgit.inpainting.kinds import make_inpainter
from maskgit.inpainting.settings import Sampler
from maskgit.tokenizer.kinds import Tokenizer, tokenizer_kinds
from maskgit.transformer.kinds import Transformer, transformer_kinds
from pipeline.models.checkpoints import load_model
from pipeline.plumbing.files import MODEL, TOKENIZER, TRANSFORMER, UNCERTAINTY, read_table


def load_networks() -> tuple[Tokenizer, Transformer]:
    """Raises UserError."""
    tokenizer = load_model(TOKENIZER / MODEL, tokenizer_kinds())
    return tokenizer, load_model(TRANSFORMER / MODEL, transformer_kinds())


def load_inpainter(sampler: Sampler) -> Inpainter:
    """Raises UserError."""
    return make_inpainter(sampler, *load_networks())


def load_uncertainty() -> list[float]:
    """Reads what the entropic schedule is made of, as measured on the transformer, in nats.

    Raises UserError.
    """
    return read_table(TRANSFORMER / UNCERTAINTY)["nats"].tolist()
