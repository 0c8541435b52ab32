"""Settings of the transformer and its training. Imports no torch.

`MaskedTransformer` and `TransformerTrainer` take these as they are, and the section `train` of
params.yaml is made of them: a setting is declared here and used there, and nothing lists it in
between.
"""

from typing import Annotated

from pydantic import Field, model_validator

from maskgit.validation import BatchSize, Count, NotNegative, Positive, Section, Share


class TransformerSize(Section):
    """Sizes of a transformer that do not depend on the tokenizer."""

    dim: Annotated[int, Field(ge=8, le=16384)] = 256  # numbers in each token's vector
    heads: Count = 8
    layers: Annotated[int, Field(ge=1, le=1000)] = 6
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def check_heads(self) -> "TransformerSize":
        if self.dim % self.heads:
            raise ValueError(f"dim ({self.dim}) should be a multiple of heads ({self.heads})")
        return self


class TransformerConfig(TransformerSize):
    """The arguments of `MaskedTransformer`, in the order in which its checkpoints keep them."""

    codebook_size: Count = 1024  # codes of the tokenizer
    latent_dim: Count = 16  # numbers in a code's vector
    grid: Count = 16  # tokens per side of a picture
    # Pixels per side that a token stands for; 0 for a transformer that sees no pixels.
    cell: Annotated[int, Field(ge=0, le=1024)] = 4


class TransformerTraining(Section):
    """Settings of `TransformerTrainer`."""

    steps: Count
    batch_size: BatchSize
    learning_rate: Positive
    warmup: Count
    weight_decay: NotNegative
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    gradient_clip: Positive
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    hole_share: Share  # of the images of a batch, whose hidden tokens are those of a hole
    evaluations: Count

    @property
    def evaluate_every(self) -> int:
        """The number of steps from one evaluation to the next."""
        return max(1, self.steps // self.evaluations)
