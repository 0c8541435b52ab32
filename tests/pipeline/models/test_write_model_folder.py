"""The model folder of a run: it fills as the run did, and holds no more than that takes."""

import shutil

import numpy as np
import pandas as pd
import pytest

from maskgit import load
from maskgit.transformer.guidance import GuidedTransformer
from maskgit.transformer.model import MaskedTransformer
from pipeline.models.model_folder import name_of_source, write_model_folder
from pipeline.plumbing.params import load_params
from pipeline.plumbing.places import PREPARED, TRANSFORMER, UNCERTAINTY
from tests.small_models import write_params

IMAGES = np.zeros((2, 64, 64, 3), dtype=np.uint8)


def test_only_drawn_cats_are_called_synthetic():
    sources = "synthetic", "photos/synthetic", "./synthetic", "data/raw/cats"
    assert [name_of_source(source) for source in sources] == [
        "synthetic",
        "./synthetic",
        "./synthetic",
        "cats",
    ]


@pytest.mark.parametrize(("guidance", "kind"), [(0.5, GuidedTransformer), (0, MaskedTransformer)])
def test_a_guide_comes_along_where_it_is_used(guidance, kind, small_models, tmp_path, monkeypatch):
    project = shutil.copytree(small_models, tmp_path / "project")
    write_params(project, guidance=str(guidance))
    monkeypatch.chdir(project)
    PREPARED.mkdir(parents=True)
    np.save(PREPARED / "train.npy", IMAGES)
    folder = tmp_path / "model"
    folder.mkdir()
    table = pd.read_csv(TRANSFORMER / UNCERTAINTY)
    write_model_folder(folder, load_params(project), table, lambda config: "a card")
    fill = load(folder)
    assert type(fill.readings["sample"].transformer) is kind
    assert fill.config.decoding.guidance == guidance
    assert fill(IMAGES[0], np.eye(64, dtype=bool)).any()
