"""Makes inpainters from settings, with any registered decoder and for each reading."""

from maskgit.inpainting.decoders import Confidence
from maskgit.inpainting.inpainter import Inpainter
from maskgit.inpainting.mean import MeanInpainter
from maskgit.inpainting.registry import DECODERS
from maskgit.inpainting.settings import Sampler
from maskgit.mean.decoder import MeanDecoder
from maskgit.tokenizer.kinds import Tokenizer
from maskgit.tokenizer.vqgan import VQGAN
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
        sampler.choose,
    )


def make_readings(
    sampler: Sampler,
    tokenizer: Tokenizer,
    transformer: Transformer,
    mean_decoder: MeanDecoder | None,
) -> dict[str, Inpainter]:
    """Returns an inpainter for each reading that a model has, with the settings of `sampler`."""
    readings = {"sample": make_inpainter(sampler, tokenizer, transformer)}
    if mean_decoder is not None:
        networks = tokenizer, transformer, mean_decoder
        readings["mean"] = make_mean_inpainter(sampler, *networks)
    return readings


def make_mean_inpainter(
    sampler: Sampler, tokenizer: VQGAN, transformer: Transformer, mean_decoder: MeanDecoder
) -> MeanInpainter:
    """Returns an inpainter of the mean reading with the settings of `sampler`.

    What it draws before the mean it draws as MaskGIT does, whatever `sampler.decoder` is.
    """
    how = sampler.seamless, sampler.mean_steps, Confidence.from_settings(sampler), sampler.guidance
    return MeanInpainter(tokenizer, transformer, mean_decoder, *how)
