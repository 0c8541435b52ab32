"""Settings that trainings have in common. Imports no torch."""

from typing import Annotated

from pydantic import Field

from maskgit.validation import BatchSize, Count, NotNegative, Positive, Section


class DrawingTraining(Section):
    """Settings of `DrawingTrainer`."""

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
