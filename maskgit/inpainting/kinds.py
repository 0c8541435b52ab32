"""Makes inpainters from settings, with any registered decoder."""

from maskgit.inpainting.inpainter import Inpainter
from maskgit.inpainting.registry import DECODERS
from maskgit.inpainting.settings import Sampler
from maskgit.tokenizer.kinds import Tokenizer
from maskgit.transformer.kinds import Transformer


def make_inpainter(sampler: Sampler, tokenizer: Tokenizer, transformer: Transformer) -> Inpainter:
    """Returns an inpainter of these networks with the settings of `sampler`.

    A decoder with a loop of its own uses only the settings that apply to it.
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
