"""Settings of the decoder of mean codes. Imports no torch."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from maskgit.tokenizer.settings import Blocks, TokenizerConfig
from maskgit.validation import Section


class MeanDecoderSize(Section):
    """What a decoder of mean codes has beside the tokenizer's."""

    more_blocks: Blocks = 0  # residual blocks at each resolution, beside the tokenizer's


class MeanDecoderConfig(TokenizerConfig, MeanDecoderSize):
    """The arguments of `MeanDecoder`, in the order in which its checkpoints keep them."""

    noise: bool = False  # whether it sees noise in the hole
    layers: Annotated[int, Field(ge=0, le=1000)] = 0  # last blocks of a transformer, copied
    dim: Annotated[int, Field(ge=0, le=16384)] = 0  # numbers in each token's vector there
    heads: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def check_layers(self) -> "MeanDecoderConfig":
        if self.layers and not (self.dim and self.heads and self.dim % self.heads == 0):
            raise ValueError(f"dim ({self.dim}) should be a multiple of heads ({self.heads})")
        return self


def taught_config(
    tokenizer: dict[str, Any], size: MeanDecoderSize, copied: dict[str, int]
) -> dict[str, Any]:
    """Returns the arguments of a decoder to be taught, from those of the tokenizer.

    copied: what the decoder copies of the transformer, see `copied_layers`.
    """
    more = size.model_dump() | {"noise": True} | copied
    return MeanDecoderConfig(**tokenizer, **more).model_dump()
