"""The decoders to choose from: all are used as `Inpainter` is."""

from maskgit.inpainting.decoders import DECODERS
from maskgit.inpainting.inpainter import Inpainter
from maskgit.inpainting.lab import LabInpainter
from maskgit.inpainting.settings import Sampler
from maskgit.tokenizer.kinds import Tokenizer
from maskgit.transformer.guidance import GuidedTransformer
from maskgit.transformer.kinds import Transformer


def make_inpainter(sampler: Sampler, tokenizer: Tokenizer, transformer: Transformer) -> Inpainter:
    """A tokenizer and a transformer that belong together, ready to fill holes as `sampler` says.

    The original lab's loop takes the arg-max and pastes as `sampler.lab` says: of the rest only the
    choice temperature matters to it. Guidance is for a transformer that brings a guide.
    """
    if isinstance(transformer, GuidedTransformer):
        transformer.guidance = 0.0 if sampler.decoder == "lab" else sampler.guidance
    if sampler.decoder == "lab":
        return LabInpainter(tokenizer, transformer, sampler.lab, sampler.choice_temperature)
    return Inpainter(
        tokenizer,
        transformer,
        DECODERS[sampler.decoder](transformer.grid),
        sampler.temperature,
        sampler.choice_temperature,
        sampler.seamless,
        sampler.best_of,
    )
