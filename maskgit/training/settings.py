"""Settings that trainings have in common. Imports no torch."""

from typing import Annotated

from pydantic import Field

from maskgit.validation import BatchSize, Count, NotNegative, Positive, Section, Share


class Adversarial(Section):
    """Settings of a training in which a discriminator may join."""

    steps: Count
    perceptual_weight: NotNegative  # 0 switches the perceptual loss off
    adversarial_weight: NotNegative  # 0 trains no discriminator
    discriminator_start: Share  # of the steps, after which the discriminator joins

    @property
    def discriminator_step(self) -> int:
        """The first step with the adversarial loss."""
        return round(self.discriminator_start * self.steps)

    @property
    def needs_perceptual(self) -> bool:
        """Whether the perceptual network is needed: for its loss, or for what is seen by it."""
        return self.perceptual_weight > 0 or self.adversarial_weight > 0


class DrawingTraining(Adversarial):
    """Settings of `DrawingTrainer`."""

    batch_size: BatchSize
    learning_rate: Positive
    warmup: Count
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    evaluations: Count

    @property
    def evaluate_every(self) -> int:
        """Number of steps from one evaluation to the next."""
        return max(1, self.steps // self.evaluations)
