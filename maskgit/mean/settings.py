"""Settings of the decoder of mean codes. Imports no torch."""

from typing import Any

from maskgit.tokenizer.settings import Blocks, TokenizerConfig
from maskgit.validation import Section


class MeanDecoderSize(Section):
    """What a decoder of mean codes has beside the tokenizer's."""

    more_blocks: Blocks = 0  # residual blocks at each resolution, beside the tokenizer's


class MeanDecoderConfig(TokenizerConfig, MeanDecoderSize):
    """The arguments of `MeanDecoder`, in the order in which its checkpoints keep them."""

    noise: bool = False  # whether it sees noise in the hole


def taught_config(tokenizer: dict[str, Any], size: MeanDecoderSize) -> dict[str, Any]:
    """Returns the arguments of a decoder to be taught, from those of the tokenizer."""
    return MeanDecoderConfig(**tokenizer, **size.model_dump(), noise=True).model_dump()
