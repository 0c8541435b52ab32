"""Makes an inpainter as its settings say, with any registered decoder."""

from maskgit.inpainting.inpainter import Inpainter
from maskgit.inpainting.registry import DECODERS
from maskgit.inpainting.settings import Sampler
from maskgit.tokenizer.kinds import Tokenizer
from maskgit.transformer.kinds import Transformer


def make_inpainter(sampler: Sampler, tokenizer: Tokenizer, transformer: Transformer) -> Inpainter:
    """Returns a tokenizer and a transformer that belong together, ready to fill holes as `sampler`
    says.

    A decoder with a loop of its own takes from the settings what matters to it.
    """
    registered = DECODERS[sampler.decoder]
    kind = registered.load()
    if registered.own_loop:
        return kind.from_settings(sampler, tokenizer, transformer)
    return Inpainter(
        tokenizer,
        transformer,
        kind.from_settings(sampler),
        sampler.seamless,
        sampler.best_of,
        sampler.guidance,
    )
