"""A transformer gets a guide where the guide is of an earlier step."""

from types import SimpleNamespace

import pytest

from maskgit.transformer.guidance import GuidedTransformer
from maskgit.transformer.model import MaskedTransformer
from pipeline.stages.train_transformer import best_evaluation, with_guide

CONFIG = {"codebook_size": 8, "latent_dim": 4, "grid": 4, "cell": 0}
CONFIG |= {"dim": 8, "heads": 2, "layers": 1, "dropout": 0.0}


@pytest.mark.parametrize(("losses", "guided"), [([3, 2, 1], True), ([1, 2, 3], False)])
def test_weights_that_are_no_later_than_the_guide_have_none(losses, guided, capsys):
    history = [{"step": 1}, *({"step": 4 * i, "val_loss": x} for i, x in enumerate(losses, 1))]
    best, guide = MaskedTransformer(**CONFIG), MaskedTransformer(**CONFIG)
    trainer = SimpleNamespace(best=SimpleNamespace(model=best), guide=guide, guide_step=4)
    model = with_guide(CONFIG, trainer, best_evaluation(history)["step"])
    assert isinstance(model, GuidedTransformer) == guided
    assert ("too early for a guide" in capsys.readouterr().out) != guided
