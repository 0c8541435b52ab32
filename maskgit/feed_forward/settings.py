"""Settings of the feed-forward network and its training. Imports no torch.

`UNet` and `FeedForwardTrainer` take these as they are, and the section `feed_forward` of
params.yaml is made of them: a setting is declared here and used there, and nothing lists it in
between.
"""

from typing import Annotated

from pydantic import Field

from maskgit.validation import BatchSize, Count, NotNegative, Positive, Section

Channels = Annotated[int, Field(ge=32, le=8192, multiple_of=32)]


class UNetConfig(Section):
    """The arguments of `UNet`."""

    # Width of the convolutions at each resolution: a half of the picture's, a quarter and so on.
    channels: Annotated[tuple[Channels, ...], Field(min_length=2, max_length=8)] = (64, 128, 192)
    coarse_blocks: Annotated[int, Field(ge=0, le=100)] = 4  # at the lowest resolution


class FeedForwardTraining(Section):
    """Settings of `FeedForwardTrainer`."""

    steps: Count
    batch_size: BatchSize
    learning_rate: Positive
    warmup: Count
    perceptual_weight: NotNegative  # 0 switches the perceptual loss off
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    evaluations: Count

    @property
    def evaluate_every(self) -> int:
        """Number of steps from one evaluation to the next."""
        return max(1, self.steps // self.evaluations)
