"""Settings of the decoder of mean codes. Imports no torch."""

from maskgit.tokenizer.settings import Blocks, TokenizerConfig
from maskgit.validation import Section


class MeanDecoderSize(Section):
    """What a decoder of mean codes has beside the tokenizer's."""

    more_blocks: Blocks = 0  # residual blocks at each resolution, beside the tokenizer's


class MeanDecoderConfig(TokenizerConfig, MeanDecoderSize):
    """The arguments of `MeanDecoder`, in the order in which its checkpoints keep them."""
