"""`train.start_from`: the tokenizer as it is, the transformer trained further or kept, too."""

import json
import shutil
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

from maskgit.checkpoints import read_checkpoint
from maskgit.model_folder import Config, folder_files
from maskgit.transformer.guidance import without_guide
from pipeline.models.model_folder import trained_on, write_model_folder
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.params import MEAN, Origin, load_params
from pipeline.plumbing.places import (
    INPAINTED,
    MEAN_DECODER,
    MODEL,
    MODEL_FOLDER,
    TOKENIZER,
    TRAINED_ON,
    TRANSFORMER,
    UNCERTAINTY,
    has_mean_decoder,
)
from pipeline.stages import encode, inpaint, prepare, train_decoder, train_transformer, train_vqgan
from tests.clone import ROOT
from tests.store import project_with_store


@contextmanager
def project_from(models, folder):
    """A project that starts from a finished model folder, with its images prepared."""
    shutil.copytree(models / MODEL_FOLDER, folder / "cats-model")
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["preset"] = "tiny"
    values["data"] |= {"count": 40, "test": 6}
    values["train"] |= {
        "start_from": "cats-model",
        "steps": 2,
        "learning_rate": 1e-9,
        "dropout": 0.25,
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    for name in ("presets.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, folder)
    with project_with_store(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "TRAINING_HOLES", 64)
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
        if network == "trained":  # in two very small steps; a guide is itself after the first
            found = {name, f"trained.{name}", f"guide.{name}"} & trained.keys()
            assert len(found) == 1 if name in trained else len(found) == 2
            for own in found:
                np.testing.assert_allclose(trained[own], value, atol=1e-6)
    assert pd.read_csv(TRANSFORMER / "history.csv")["step"].iloc[-1] == 2
    assert read_checkpoint(TRANSFORMER / MODEL).config["dropout"] == 0.25  # not the folder's 0


def keep_all(folder):
    path = folder / "params.yaml"
    values = yaml.safe_load(path.read_text())
    for section in ("train", "mean_decoder"):
        values[section]["steps"] = 0
    path.write_text(yaml.safe_dump(values))
    return folder / "cats-model"


def test_with_0_steps_the_folder_is_kept_whole(small_models, tmp_path):
    with project_from(small_models, tmp_path) as folder:
        start = keep_all(folder)
        for stage in (train_vqgan, encode, train_transformer, train_decoder):
            stage.main()
        parts = {"tokenizer": TOKENIZER, "transformer": TRANSFORMER, "mean_decoder": MEAN_DECODER}
        for name, place in parts.items():
            kept, given = (
                read_checkpoint(p) for p in (place / MODEL, start / f"{name}.safetensors")
            )
            assert (kept.kind, kept.config) == (given.kind, given.config)
            assert kept.weights_hash() == given.weights_hash()
        trained_on = load_config(start / "config.json")["trained_on"]
        history = pd.read_csv(TRANSFORMER / "history.csv")
        assert history["step"].tolist() == [0] and history["val_loss"].notna().all()
        shutil.rmtree(start)  # as DVC does to outputs/model, where it is that
        (folder / "again").mkdir()
        uncertainty = pd.read_csv(TRANSFORMER / UNCERTAINTY)
        write_model_folder(folder / "again", load_params(), uncertainty, lambda config: "a card")
        assert load_config(folder / "again" / "config.json")["trained_on"] == trained_on


def enough(*arguments):
    """In place of a training."""
    raise UserError("enough")


def test_a_new_decoder_for_a_kept_transformer_sees_drafts_as_the_transformer_did(
    small_models, tmp_path, monkeypatch
):
    """A fill begins with a draft where the folder says so, whatever `drafts` is now."""
    taught = []
    monkeypatch.setattr(
        train_decoder,
        "DrawingTrainer",
        lambda *arguments: taught.append(arguments[-1]) or enough(),
    )
    with project_from(small_models, tmp_path) as folder:
        keep_all(folder)
        values = yaml.safe_load((folder / "params.yaml").read_text())
        values["mean_decoder"]["steps"] = 2
        (folder / "params.yaml").write_text(yaml.safe_dump(values))
        config = load_config(folder / "cats-model/config.json")
        config["trained_on"]["drafts"] = 0.25
        (folder / "cats-model/config.json").write_text(json.dumps(config))
        for stage in (train_vqgan, encode, train_transformer):
            stage.main()
        with pytest.raises(UserError, match="enough"):
            train_decoder.main()
    assert taught == [0.25]


def test_a_training_that_goes_on_is_validated_on_what_its_network_sees(
    small_models, tmp_path, monkeypatch
):
    seen = []
    monkeypatch.setattr(
        train_transformer.Inputs,
        "examples",
        lambda inputs, sees_pixels, gamma, seed: seen.append(sees_pixels) or [],
    )
    with project_from(small_models, tmp_path) as folder:
        path = folder / "params.yaml"
        path.write_text(path.read_text().replace("pixels: true", "pixels: false"))
        for stage in (train_vqgan, encode):
            stage.main()
        monkeypatch.setattr(train_transformer, "TransformerTrainer", enough)
        with pytest.raises(UserError, match="enough"):
            train_transformer.main()
    assert seen == [True]


def test_a_model_folder_says_where_its_networks_come_from(small_models, tmp_path):
    with project_from(small_models, tmp_path) as folder:
        continued = load_params()
        assert (continued.origin, trained_on(continued).images) == (Origin.BOTH, 30)
        about = load_config(folder / "cats-model/config.json")["trained_on"]
        TRANSFORMER.mkdir(parents=True)
        (TRANSFORMER / TRAINED_ON).write_text(json.dumps(about))
        kept = continued.changed(train=continued.train.changed(steps=0))
        assert kept.teaches_mean  # here; the rest is what the folder says
        assert (kept.origin, trained_on(kept).model_dump(mode="json")) == (Origin.ELSEWHERE, about)
        imported = continued.changed(
            vqgan=continued.vqgan.changed(checkpoint="lab/VQGAN.pt"),
            train=continued.train.changed(start_from=None, checkpoint="lab/MaskGit.pt"),
        )
        found = trained_on(imported)
        assert imported.origin is Origin.ELSEWHERE
        assert (found.source, found.images, found.holes) == ("imported from MaskGit.pt", 0, [])


def test_a_folder_without_a_decoder_of_mean_codes_is_kept_without(small_models, tmp_path):
    with project_from(small_models, tmp_path) as folder:
        start = keep_all(folder)
        config = load_config(start / "config.json")
        del config["networks"]["mean_decoder"]
        (start / "config.json").write_text(json.dumps(config))
        train_vqgan.main()
        train_decoder.main()
        assert not has_mean_decoder()
        inpaint.main(MEAN)
        assert not any((INPAINTED / MEAN).glob("1"))
        path = folder / "params.yaml"
        path.write_text(path.read_text().replace("reading: sample", "reading: mean"))
        for method in ("cosine", MEAN):
            with pytest.raises(UserError, match="the models have no decoder of mean codes"):
                inpaint.main(method)


def test_a_half_copied_folder_is_named(small_models, tmp_path):
    with project_from(small_models, tmp_path) as folder:
        (keep_all(folder) / "mean_decoder.safetensors").unlink()
        train_vqgan.main()
        with pytest.raises(UserError, match=r"mean_decoder.safetensors cannot be read"):
            train_decoder.main()


def test_without_a_guide_no_guidance_is_recorded(small_models, tmp_path, capsys):
    with project_from(small_models, tmp_path) as folder:
        start = keep_all(folder)
        whole, tokenizer = (
            read_checkpoint(start / f"{name}.safetensors") for name in ("transformer", "tokenizer")
        )
        parts = tokenizer, without_guide(whole), None
        config = Config.model_validate(load_config(start / "config.json"))
        for name, content in folder_files(config, *parts, "a card").items():
            (start / name).write_bytes(content)
        for stage in (train_vqgan, encode, train_transformer, train_decoder):
            stage.main()
        assert "it has no guide; inpaint.guidance is not used" in capsys.readouterr().out
        assert load_params().inpaint.guidance > 0
        (folder / "again").mkdir()
        uncertainty = pd.read_csv(TRANSFORMER / UNCERTAINTY)
        write_model_folder(folder / "again", load_params(), uncertainty, lambda config: "a card")
        assert load_config(folder / "again" / "config.json")["decoding"]["guidance"] == 0


def test_a_decoder_of_another_transformer_is_not_kept(small_models, tmp_path):
    with project_from(small_models, tmp_path) as folder:
        path = keep_all(folder) / "mean_decoder.safetensors"
        path.write_bytes(replace(read_checkpoint(path), partner="another").to_bytes())
        train_vqgan.main()
        with pytest.raises(UserError, match="does not belong to its transformer"):
            train_decoder.main()


def load_config(path):
    return json.loads(path.read_text())


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


def spoil_weights(folder):
    """Weights of a right shape that the tokenizer was not trained to, with checksums of before."""
    path = folder / "tokenizer.safetensors"
    part = read_checkpoint(path)
    part.state["codebook.embedding"] = -part.state["codebook.embedding"]
    path.write_bytes(part.to_bytes())


FAULTS = {
    "gone": (shutil.rmtree, "cats-model is not a model folder"),
    "no config": (lambda f: (f / "config.json").write_text("[]"), "is not a model folder"),
    "no weights": (lambda f: (f / "transformer.safetensors").unlink(), "cannot be read"),
    "another size": (spoil_size, "is for images of 32 pixels; set data.size=32, now 64"),
    "another pair": (spoil_pair, "do not belong together"),
    "other weights": (spoil_weights, "do not belong together"),
    "another sum": (
        lambda f: (f / "SHA256SUMS").write_text("0" * 64 + "  tokenizer.safetensors"),
        "tokenizer.safetensors is damaged: its checksum differs",
    ),
    "sums of another encoding": (
        lambda f: (f / "SHA256SUMS").write_bytes("0  a".encode("utf-16")),
        "tokenizer.safetensors is damaged: its checksum differs",
    ),
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
