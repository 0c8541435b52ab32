"""Makes the perceptual network of a training."""

from maskgit.device import best_device
from maskgit.perception import PerceptualLoss
from maskgit.training.settings import Adversarial


def perceptual_network(how: Adversarial) -> PerceptualLoss | None:
    """Returns the network on the best device, or None where no loss of the training needs it."""
    return PerceptualLoss().to(best_device()) if how.needs_perceptual else None
