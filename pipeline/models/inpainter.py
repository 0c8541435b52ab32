"""The pipeline's own tokenizer and transformer, put together as a stage wants them."""

from maskgit.inpainting.inpainter import Inpainter
from maskgit.inpainting.kinds import make_inpainter
from maskgit.inpainting.settings import Sampler
from maskgit.schedules import ENTROPIC, SCHEDULES, Gamma, entropic
from maskgit.tokenizer.kinds import TOKENIZERS
from maskgit.transformer.kinds import TRANSFORMERS
from pipeline.models.checkpoints import load_model
from pipeline.plumbing.files import MODEL, TOKENIZER, TRANSFORMER, UNCERTAINTY, read_table


def load_inpainter(sampler: Sampler) -> Inpainter:
    """Raises UserError."""
    pair = load_model(TOKENIZER / MODEL, TOKENIZERS), load_model(TRANSFORMER / MODEL, TRANSFORMERS)
    return make_inpainter(sampler, *pair)


def load_gamma(name: str) -> Gamma:
    """A mask schedule; the entropic one as measured on the transformer. Raises UserError."""
    if name != ENTROPIC:
        return SCHEDULES[name]
    return entropic(read_table(TRANSFORMER / UNCERTAINTY)["nats"].tolist())
