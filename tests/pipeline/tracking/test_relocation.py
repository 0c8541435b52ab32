"""A project that was moved or copied finds the pictures and models of its runs at the new place."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import mlflow
import numpy as np
import pytest

from maskgit.scoring.scores import find
from pipeline.plumbing.params import load_params
from pipeline.plumbing.places import MODEL_FOLDER, PREPARED
from pipeline.serving.registry import NAME, register
from pipeline.tracking import store as stores
from pipeline.tracking.relocation import COLUMNS
from pipeline.tracking.stage import stage_run
from pipeline.tracking.store import EXPERIMENT, open_store
from tests.small_models import write_params

SCORES = np.random.default_rng(0).normal(12, 1, 40)


@contextmanager
def working_in(folder):
    """As a new process that starts in the folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "")  # MLflow changes it
        patch.delenv("DVC_ROOT", raising=False)
        patch.chdir(folder)
        patch.setattr(stores, "_stores", {})
        mlflow.set_tracking_uri(None)
        yield
    mlflow.set_tracking_uri(None)


def report(scores):
    """A run with a picture, whose model is registered; its id and what became of the champion."""
    Path("picture.png").write_text("filled")
    with stage_run("a report", {"scores": scores.mean()}, MODEL_FOLDER) as log:
        log.log_artifact(Path("picture.png"), "deep")
    return log.run_id, register(log.run_id, load_params(), find("kid"), scores)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A project with a run, one that was deleted, and a champion. URIs have to quote its name."""
    folder = tmp_path_factory.mktemp("before") / "my cät #1"
    for path in (PREPARED, MODEL_FOLDER):
        (folder / path).mkdir(parents=True)
    for name in ("test", "test_holes"):
        np.save(folder / PREPARED / f"{name}.npy", np.zeros(3))
    write_params(folder)
    (folder / MODEL_FOLDER / "weights").write_text("weights")
    with working_in(folder):
        client = open_store().client  # it takes longer than a stage waits for it
        run, said = report(SCORES)
        assert "it is the first" in said
        deleted, _ = report(SCORES + 9)
        client.delete_run(deleted)
    return folder, run, deleted


@pytest.fixture
def project(original, tmp_path):
    """A copy of its own for each test, opened there once."""
    folder, *runs = original
    shutil.copytree(folder, tmp_path / "project")
    with working_in(tmp_path / "project"):
        open_store()
    return tmp_path / "project", *runs


def read(address, folder):
    return Path(mlflow.artifacts.download_artifacts(address, dst_path=folder)).read_text()


def lies_at(place, folder):
    return place.startswith(f"{folder.as_uri()}/mlruns/")


def test_what_runs_kept_is_found_after_the_project_was_moved(project, tmp_path, capsys):
    old, run, deleted = project
    new = tmp_path / "another name %"
    old.rename(new)
    capsys.readouterr()
    with working_in(new):
        client = open_store().client
        said = capsys.readouterr().err
        assert said.count("the project was moved") == 1 and str(new / "mlruns") in said
        client.restore_run(deleted)
        for kept in (run, deleted):
            assert read(f"runs:/{kept}/deep/picture.png", tmp_path / "read") == "filled"
        model = f"models:/{NAME}/1"
        assert read(f"{model}/artifacts/model/weights", tmp_path / "read") == "weights"
    assert not old.exists()


def test_what_is_logged_after_a_move_lies_at_the_new_place_alone(project, tmp_path):
    old, *_ = project
    new = tmp_path / "moved"
    old.rename(new)
    with working_in(new):
        run, said = report(SCORES - 1)
        assert "against it, on the same images" in said  # the champion's scores are read
        assert lies_at(open_store().client.get_run(run).info.artifact_uri, new)
        assert read(f"runs:/{run}/deep/picture.png", tmp_path / "read") == "filled"
    assert not old.exists()


def test_a_copy_keeps_its_own_artifacts(project, tmp_path):
    old, run, _ = project
    shutil.copytree(old, tmp_path / "copy")
    with working_in(tmp_path / "copy"):
        assert lies_at(open_store().client.get_run(run).info.artifact_uri, tmp_path / "copy")
    with working_in(old):
        assert lies_at(open_store().client.get_run(run).info.artifact_uri, old)


def test_files_that_lie_only_at_the_old_place_are_read_there(project, tmp_path):
    """As of runs that older versions made after a move."""
    old, run, _ = project
    new = tmp_path / "moved"
    shutil.copytree(old, new)
    shutil.rmtree(new / "mlruns" / run)
    with working_in(new):
        store = open_store()
        assert read(f"runs:/{run}/deep/picture.png", tmp_path / "read") == "filled"
        place = store.client.get_experiment_by_name(EXPERIMENT).artifact_location
        assert place == (new / "mlruns").as_uri()


def test_where_nothing_moved_nothing_is_said_or_written(project, tmp_path, capsys):
    folder, *_ = project
    os.symlink(folder, tmp_path / "link")
    before = (folder / "mlflow.db").read_bytes()
    capsys.readouterr()
    for path in (folder, tmp_path / "link"):
        with working_in(path):
            open_store()
        with working_in(tmp_path), pytest.MonkeyPatch.context() as patch:
            patch.setenv("DVC_ROOT", str(path))
            open_store()
    assert capsys.readouterr().err == "" and (folder / "mlflow.db").read_bytes() == before


def test_a_move_that_is_cut_off_changes_nothing(project, tmp_path, monkeypatch):
    old, *_ = project
    new = tmp_path / "moved"
    old.rename(new)
    before = (new / "mlflow.db").read_bytes()
    monkeypatch.setattr("pipeline.tracking.relocation.COLUMNS", (*COLUMNS, ("no_table", "x")))
    with working_in(new), pytest.raises(Exception, match="no_table"):
        open_store()
    assert (new / "mlflow.db").read_bytes() == before
