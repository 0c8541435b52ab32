"""The stage train_decoder, on small networks, and the rows of the mean reading behind it."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from maskgit.data.cats.cat import draw_cats
from maskgit.data.holes import draw_holes
from maskgit.model_folder import folder_files, read_model_folder
from maskgit.scoring.pixel_errors import psnr
from pipeline.models.checkpoints import read_model
from pipeline.models.inpainter import load_mean_inpainter
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import load_task
from pipeline.plumbing.params import MEAN, load_params
from pipeline.plumbing.places import (
    IMAGE_SCORES,
    IMAGES_CSV,
    INPAINTED,
    MEAN_DECODER,
    MODEL,
    MODEL_FOLDER,
    PREPARED,
    SCORES,
)
from pipeline.stages import inpaint, reference, score, train_decoder
from pipeline.tracking.store import open_store
from tests.clone import ROOT
from tests.stopped_stage import stop_and_go_on
from tests.store import project_with_store

SMALL = {"steps": 6, "batch_size": 4, "perceptual_weight": 0.0, "evaluations": 2, "more_blocks": 1}


@pytest.fixture(scope="module")
def project(small_models, tmp_path_factory):
    """A folder with small prepared data, in which the training has run; tests work in it."""
    folder = tmp_path_factory.mktemp("train_decoder") / "project"
    shutil.copytree(small_models, folder)
    (folder / PREPARED).mkdir(parents=True)
    for name in ("dvc.yaml", "presets.yaml"):
        shutil.copyfile(ROOT / name, folder / name)
    for number, (split, count) in enumerate({"train": 8, "val": 5, "test": 3}.items()):
        np.save(folder / PREPARED / f"{split}.npy", draw_cats(count, seed=number))
        holes = draw_holes(count, ["box"], (0.1, 0.2), 64, seed=number)
        np.save(folder / PREPARED / f"{split}_holes.npy", holes)
    with project_with_store(folder):
        set_params()
        train_decoder.main()
        yield folder


def set_params(**changes):
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["mean_decoder"] |= SMALL | changes
    values["score"]["baselines"] = ["telea"]
    with open("params.yaml", "w") as file:
        yaml.safe_dump(values, file)


def test_the_row_is_of_the_fills_by_the_taught_decoder(project):
    set_params()
    inpaint.main(MEAN)
    reference.main()
    score.main(MEAN)
    images, holes = load_task("test")
    filled = load_mean_inpainter(load_params().inpaint)(images, holes).images
    row = pd.read_csv(SCORES / f"{MEAN}.csv").iloc[0]
    assert (row["schedule"], row["iterations"], row["steps"]) == (MEAN, 1, 1)
    assert row["psnr_hole"] == pytest.approx(psnr(filled, images, holes).mean())
    assert len(pd.read_csv(IMAGE_SCORES / MEAN / IMAGES_CSV)) == len(images)


def test_mlflow_has_the_curves_and_what_the_training_depends_on(project):
    found = open_store().runs("tags.stage = 'train_decoder' and status = 'FINISHED'")
    run = next(run for run in found if "best_val_loss" in run.data.metrics)
    assert "reconstruction_loss" in run.data.metrics and "best_val_loss" in run.data.metrics
    assert run.data.params["mean_decoder.steps"] == "6"


def test_a_training_that_was_stopped_goes_on_to_the_same_bytes(project, monkeypatch, capsys):
    set_params()
    undisturbed = (MEAN_DECODER / MODEL).read_bytes()
    stop_and_go_on(train_decoder.main, monkeypatch)
    assert "resuming at step 4 of 6" in capsys.readouterr().out
    assert (MEAN_DECODER / MODEL).read_bytes() == undisturbed


def test_the_decoder_of_a_model_folder_is_taught_further(project, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(shutil.copytree(project, tmp_path / "copy"))
    deeper = read_model(MEAN_DECODER / MODEL)  # of which the folder gets the decoder
    config, *parts, _ = read_model_folder(MODEL_FOLDER)
    start = Path("cats-model")
    start.mkdir()
    for name, content in folder_files(config, *parts, deeper, "a card").items():
        (start / name).write_bytes(content)
    set_params(more_blocks=0, learning_rate=1e-9)
    values = yaml.safe_load(Path("params.yaml").read_text())
    values["train"]["start_from"] = str(start)
    Path("params.yaml").write_text(yaml.safe_dump(values))
    train_decoder.main()
    assert f"mean_decoder of {start}" in capsys.readouterr().out
    taught = read_model(MEAN_DECODER / MODEL)
    assert taught.config == deeper.config and deeper.config["more_blocks"] == 1
    for name, weights in taught.state.items():
        assert torch.allclose(weights, deeper.state[name], atol=1e-4)


def test_with_0_steps_none_is_taught_and_the_rows_are_left_out(project, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(project, tmp_path / "copy"))
    set_params(steps=0)
    train_decoder.main()
    inpaint.main(MEAN)
    score.main(MEAN)
    for folder in (MEAN_DECODER, INPAINTED / MEAN, IMAGE_SCORES / MEAN):
        assert {path.name for path in folder.iterdir()} <= {"SHA256SUMS"}
    assert pd.read_csv(SCORES / f"{MEAN}.csv").empty


def test_the_headline_cannot_be_the_mean_where_none_is_taught(project):
    set_params(steps=0)
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("reading: sample", "reading: mean"))
    with pytest.raises(UserError, match="needs a decoder of mean codes"):
        load_params()
    set_params()
