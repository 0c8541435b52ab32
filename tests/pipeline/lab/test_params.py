"""The lab's settings are checked as all others are."""

import pytest
from pydantic import ValidationError

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.params import load_params
from tests.pipeline.plumbing import test_params
from tests.pipeline.plumbing.test_params import PRESETS

project = test_params.project


def test_imported_models_decode_at_their_own_temperature_not_the_presets(project):
    project("vqgan.checkpoint", "VQGAN.pt")
    imported = load_params(project("train.checkpoint", "transformer.pt"))
    assert PRESETS["laptop"]["inpaint"]["temperature"] != 1.0
    assert imported.inpaint.temperature == 1.0
    assert load_params(project("inpaint.temperature", 0.6)).inpaint.temperature == 0.6


def test_without_importers_a_checkpoint_from_elsewhere_is_refused(project, monkeypatch):
    monkeypatch.setattr("pipeline.plumbing.params.IMPORTERS", {})
    project("vqgan.checkpoint", "VQGAN.pt")
    message = r"params.yaml: vqgan.checkpoint: no importer for it is installed; leave it empty$"
    with pytest.raises(UserError, match=message):
        load_params(project("train.checkpoint", "transformer.pt"))


def test_a_sweet_spot_is_a_step_of_the_run(project):
    inpaint = load_params(project("seed", 1)).inpaint
    assert inpaint.changed(decoder="lab", iterations=[1, 11]).decoder == "lab"
    with pytest.raises(ValidationError, match=r"less than lab\.total"):
        inpaint.changed(decoder="lab", iterations=[1, 12])


def test_a_run_has_two_steps_or_more(project):
    message = r"^params.yaml: inpaint.lab.total: .* greater than or equal to 2, but it is 1"
    with pytest.raises(UserError, match=message):
        load_params(project("inpaint.lab.total", 1))


def test_an_imported_tokenizer_has_a_cell_of_its_own(project):
    project("vqgan.cell", 8)
    project("vqgan.checkpoint", "VQGAN.pt")
    assert load_params(project("data.size", 100)).data.size == 100
