"""The stages of feed_forward/dvc.yaml, on a small network: they leave a model and its fills."""

import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from maskgit.data.holes import draw_holes
from maskgit.feed_forward.filling import fill_holes
from maskgit.feed_forward.unet import UNet
from maskgit.scoring.pixel_errors import psnr
from pipeline.inputs.others import load_others
from pipeline.models.checkpoints import load_model
from pipeline.plumbing.files import load_task
from pipeline.plumbing.places import FEED_FORWARD, FEED_FORWARD_FILLS, MODEL, PREPARED, REFERENCE
from pipeline.stages import inpaint_feed_forward, reference, train_feed_forward
from pipeline.tracking.store import open_store
from tests.clone import ROOT
from tests.stopped_stage import stop_and_go_on
from tests.store import project_with_store

SMALL = {"channels": [32, 32], "coarse_blocks": 0, "steps": 6, "batch_size": 4}
SMALL |= {"perceptual_weight": 0.0, "adversarial_weight": 0.0, "evaluations": 2}


@pytest.fixture(scope="module")
def project(small_models, tmp_path_factory):
    """A folder with small prepared data, in which the training has run; tests work in it."""
    folder = tmp_path_factory.mktemp("feed_forward") / "project"
    shutil.copytree(small_models, folder)
    (folder / PREPARED).mkdir(parents=True)
    for name in ("dvc.yaml", "feed_forward/dvc.yaml", "presets.yaml"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    for number, (split, count) in enumerate({"train": 8, "val": 5, "test": 3}.items()):
        shape = count, 64, 64, 3
        images = np.random.default_rng(number).integers(256, size=shape, dtype=np.uint8)
        np.save(folder / PREPARED / f"{split}.npy", images)
        holes = draw_holes(count, ["box"], (0.1, 0.2), 64, seed=number)
        np.save(folder / PREPARED / f"{split}_holes.npy", holes)
    with project_with_store(folder):
        set_params()
        train_feed_forward.main()
        yield folder


def set_params(split="test", **score):
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["feed_forward"] |= SMALL
    values["inpaint"]["split"] = split
    values["score"] |= score
    with open("params.yaml", "w") as file:
        yaml.safe_dump(values, file)


@pytest.mark.parametrize("split", ["test", "val"])
def test_the_fills_are_those_of_the_network_for_the_split_that_is_scored(project, split):
    set_params(split)
    inpaint_feed_forward.main()
    images, holes = load_task(split)
    expected = fill_holes(load_model(FEED_FORWARD / MODEL, [UNet]), images, holes)
    made = load_others({"feed_forward": str(FEED_FORWARD_FILLS / "images")}, images, holes)
    assert np.array_equal(made["feed_forward"].images, expected)
    assert made["feed_forward"].note == ""  # no known pixel was changed


def test_the_fills_get_a_row_of_the_table(project):
    set_params(baselines=["telea"], others={"feed_forward": str(FEED_FORWARD_FILLS / "images")})
    inpaint_feed_forward.main()
    reference.main()
    table = pd.read_csv(REFERENCE / "scores.csv").set_index("schedule")
    assert list(table.index) == ["telea", "feed_forward", "tokenizer", "true_images"]
    images, holes = load_task("test")
    filled = fill_holes(load_model(FEED_FORWARD / MODEL, [UNet]), images, holes)
    expected = psnr(filled, images, holes).mean()
    assert table.loc["feed_forward", "psnr_hole"] == pytest.approx(expected)


def test_the_networks_losses_are_kept(project):
    history = pd.read_csv(FEED_FORWARD / "history.csv")
    assert history["step"].tolist() == [1, 2, 3, 4, 5, 6]
    assert history["val_loss"].notna().sum() == SMALL["evaluations"]


def test_mlflow_has_the_curves_and_what_the_training_depends_on(project):
    (run,) = open_store().runs("tags.stage = 'train_feed_forward' and status = 'FINISHED'")
    assert "reconstruction_loss" in run.data.metrics and "best_val_loss" in run.data.metrics
    sections = {name.split(".")[0] for name in run.data.params}
    assert sections == {"drafts", "seed", "feed_forward", "encode"}
    assert run.data.params["feed_forward.steps"] == "6"


def test_a_training_that_was_stopped_goes_on_to_the_same_bytes(project, monkeypatch, capsys):
    undisturbed = (FEED_FORWARD / MODEL).read_bytes()
    stop_and_go_on(train_feed_forward.main, monkeypatch)
    assert "resuming at step 4 of 6" in capsys.readouterr().out
    assert (FEED_FORWARD / MODEL).read_bytes() == undisturbed
