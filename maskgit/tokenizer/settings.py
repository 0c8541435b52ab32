"""Settings of the tokenizer and its training. Imports no torch.

`VQGAN` and `TokenizerTrainer` take these as they are, and the section `vqgan` of params.yaml is
made of them: a setting is declared here and used there, and nothing lists it in between.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from maskgit.tokenizer.codebook_sizes import CODES
from maskgit.training.settings import Adversarial
from maskgit.validation import BatchSize, Count, NotNegative, Positive, Section, one_of

Blocks = Annotated[int, Field(ge=0, le=100)]


class TokenizerConfig(Section):
    """The arguments of `VQGAN`, in the order in which its checkpoints keep them."""

    cell: Literal[4, 8, 16] = 4  # pixels per side that a token stands for
    channels: Annotated[int, Field(ge=16, le=8192, multiple_of=16)] = 128
    encoder_blocks: Blocks = 2
    decoder_blocks: Blocks = 2
    latent_dim: Annotated[int, Field(ge=2, le=4096)] = 16
    codebook_size: Annotated[int, Field(ge=2, le=65535)] = 1024
    quantizer: Annotated[str, one_of(CODES)] = "kmeans"

    @model_validator(mode="after")
    def check_channels(self) -> "TokenizerConfig":
        for width in (self.channels, self.channels // 2):
            if width % norm_groups(width):
                raise ValueError(
                    "channels should be a multiple of 16, above 128 of 32, and above 256 of 64"
                )
        return self

    @model_validator(mode="after")
    def check_codebook_size(self) -> "TokenizerConfig":
        CODES[self.quantizer](self.codebook_size)
        return self


def norm_groups(channels: int) -> int:
    """Returns the number of groups of a group norm over so many channels."""
    return min(32, channels // 4)


class TokenizerTraining(Adversarial):
    """Settings of `TokenizerTrainer`; each weight multiplies its loss, and 0 switches it off."""

    batch_size: BatchSize
    accumulate: Count = 1  # parts of a batch that are decoded one by one, for less memory
    learning_rate: Positive
    warmup: Count
    commitment_weight: NotNegative
    evaluations: Count

    @property
    def evaluate_every(self) -> int:
        """The number of steps from one evaluation to the next."""
        return max(1, self.steps // self.evaluations)
