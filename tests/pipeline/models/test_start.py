"""`train.start_from`: the tokenizer as it is, the transformer trained further."""

import json
import shutil
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import yaml

from maskgit.checkpoints import read_checkpoint
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.places import MODEL, MODEL_FOLDER, TOKENIZER, TRANSFORMER
from pipeline.stages import encode, prepare, train_transformer, train_vqgan
from tests.clone import ROOT
from tests.store import project_with_store


@contextmanager
def project_from(models, folder):
    """A project that starts from a finished model folder, with its images prepared."""
    shutil.copytree(models / MODEL_FOLDER, folder / "cats-model")
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["preset"] = "tiny"
    values["data"] |= {"count": 40, "test": 6}
    values["train"] |= {"start_from": "cats-model", "steps": 2, "learning_rate": 1e-9}
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    for name in ("presets.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, folder)
    with project_with_store(folder):
        prepare.main()
        yield folder


@pytest.fixture(scope="module")
def project(small_models, tmp_path_factory):
    with project_from(small_models, tmp_path_factory.mktemp("project")) as folder:
        yield folder


@pytest.fixture
def fsq_project(small_fsq_models, tmp_path):
    with project_from(small_fsq_models, tmp_path) as folder:
        yield folder


def weights(path):
    return read_checkpoint(path).state


@pytest.mark.parametrize("name", ["project", "fsq_project"])
def test_both_go_on_from_the_folder(name, request):
    start = request.getfixturevalue(name) / "cats-model"
    train_vqgan.main()
    encode.main()
    train_transformer.main()
    tokenizer, given = weights(TOKENIZER / MODEL), weights(start / "tokenizer.safetensors")
    assert all((tokenizer[name] == given[name]).all() for name in given)
    assert len(pd.read_csv(TOKENIZER / "history.csv")) == 1
    trained = weights(TRANSFORMER / MODEL)
    for name, value in weights(start / "transformer.safetensors").items():
        network, name = name.split(".", 1)
        if network == "trained":  # in two very small steps; its guide is itself after the first
            np.testing.assert_allclose(trained[f"trained.{name}"], value, atol=1e-6)
            np.testing.assert_allclose(trained[f"guide.{name}"], value, atol=1e-6)
    assert pd.read_csv(TRANSFORMER / "history.csv")["step"].iloc[-1] == 2


def spoil_size(folder):
    path = folder / "config.json"
    values = json.loads(path.read_text())
    values["trained_on"]["size"] = 32
    path.write_text(json.dumps(values))


def spoil_pair(folder):
    path = folder / "transformer.safetensors"
    part = read_checkpoint(path)
    name = next(iter(part.state))
    part.state[name] = part.state[name] + 1
    path.write_bytes(part.to_bytes())


FAULTS = {
    "gone": (shutil.rmtree, "cats-model is not a model folder"),
    "no config": (lambda f: (f / "config.json").write_text("[]"), "is not a model folder"),
    "no weights": (lambda f: (f / "transformer.safetensors").unlink(), "cannot be read"),
    "another size": (spoil_size, "is for images of 32 pixels; set data.size=32, now 64"),
    "another pair": (spoil_pair, "do not belong together"),
}


@pytest.mark.parametrize(("spoil", "message"), FAULTS.values(), ids=FAULTS)
def test_a_folder_that_does_not_do_is_one_line(project, spoil, message):
    start, kept = project / "cats-model", project / "kept"
    shutil.copytree(start, kept)
    spoil(start)
    with pytest.raises(UserError, match=message) as caught:
        train_vqgan.main()
    assert str(caught.value).startswith("train.start_from: ") and "\n" not in str(caught.value)
    shutil.rmtree(start, ignore_errors=True)
    kept.rename(start)


def test_a_folder_that_knows_no_drafts_is_not_trained_on_with_them(project):
    path = project / "params.yaml"
    before = path.read_text()
    path.write_text(yaml.safe_dump(yaml.safe_load(before) | {"drafts": 0.25}))
    with pytest.raises(UserError, match="cats-model was trained without drafts; set drafts=0"):
        train_vqgan.main()
    path.write_text(before)
