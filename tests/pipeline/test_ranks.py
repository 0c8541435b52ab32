"""A pipeline whose stages are two processes each: the same files, one run in MLflow, no re-runs."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from mlflow import MlflowClient

from pipeline.plumbing.hashing import content_hash
from pipeline.plumbing.places import INPAINTED, SCORES, TOKENS, results_folder

TORCHRUN = f"{sys.executable} -m torch.distributed.run --standalone --local-ranks-filter 0"
TWO = f"{TORCHRUN} --nproc-per-node 2"
THREE = f"{TORCHRUN} --nproc-per-node 3"
FILLED = INPAINTED / "cosine"
TRAINED = Path("outputs/transformer")


@pytest.fixture
def clone(finished_clone, tmp_path):
    return finished_clone.copy(tmp_path / "clone")


def fill_in_batches_of(clone, size):
    """Two processes share 16 images only where these are several batches."""
    path = clone.folder / "params.yaml"
    values = yaml.safe_load(path.read_text())
    values["inpaint"]["batch_size"] = size
    path.write_text(yaml.safe_dump(values))


def repro(clone, launch, *stages):
    return clone.run("dvc", "repro", "-f", "-s", *stages, MASKGIT_LAUNCH=launch)


def hashes(clone, *folders):
    return {folder: content_hash(clone.folder / folder) for folder in folders}


def runs(clone, stage):
    client = MlflowClient(f"sqlite:///{clone.folder}/mlflow.db")
    experiment = client.get_experiment_by_name("maskgit stages").experiment_id
    return client.search_runs([experiment], f"tags.stage = '{stage}'")


def test_what_is_filled_is_the_same_for_any_number_of_processes(clone):
    made = hashes(clone, TOKENS, FILLED, SCORES / "cosine.csv")
    before = len(runs(clone, "inpaint"))
    repro(clone, TWO, "encode", "inpaint@cosine", "score@cosine")
    assert hashes(clone, *made) == made
    assert len(runs(clone, "inpaint")) == before  # the same entry of dvc.lock is the same run
    fills = hashes(clone, *[FILLED / "3" / results_folder(k) for k in range(2)])
    fill_in_batches_of(clone, 3)
    repro(clone, TWO, "inpaint@cosine")
    assert hashes(clone, *fills) == fills


def test_how_many_processes_there_are_makes_dvc_run_nothing_again(clone):
    output = clone.run("dvc", "repro", "dvc.yaml", MASKGIT_LAUNCH=TWO)
    assert clone.stages_run(output) == {"sources"}  # which always runs


def snapshots(clone):
    return list((clone.folder / ".maskgit/snapshots").glob("train_transformer*.pt"))


def test_a_training_of_two_processes_killed_in_one_goes_on_to_the_same_bytes(clone):
    repro(clone, TWO, "train_transformer")
    made = hashes(clone, TRAINED)
    training = subprocess.Popen(
        [sys.executable, "-m", "pipeline.stages.train_transformer"],
        cwd=clone.folder,
        env=clone.environment(MASKGIT_LAUNCH=TWO, MASKGIT_SNAPSHOT_SECONDS="0"),
        stderr=subprocess.PIPE,
    )
    while not snapshots(clone):
        assert training.poll() is None
        time.sleep(0.1)
    psutil.Process(training.pid).children()[-1].send_signal(signal.SIGKILL)
    assert b"SIGKILL" in training.communicate()[1]
    assert training.returncode == 1
    said = clone.run("python", "-m", "pipeline.stages.train_transformer", MASKGIT_LAUNCH=TWO)
    assert "resuming at step" in said
    assert hashes(clone, TRAINED) == made
    finished = [run for run in runs(clone, "train_transformer") if run.info.status == "FINISHED"]
    assert len(finished) == 2  # that of the clone and that of two processes, killed or not


def test_a_batch_that_cannot_be_shared_evenly_is_refused_in_one_line(clone):
    with pytest.raises(AssertionError, match="a batch of 16 cannot be shared evenly by 3"):
        clone.run("python", "-m", "pipeline.stages.train_vqgan", MASKGIT_LAUNCH=THREE)


def test_a_launcher_that_is_not_there_is_named(clone):
    with pytest.raises(AssertionError, match="MASKGIT_LAUNCH: there is no command torchhurry"):
        clone.run("python", "-m", "pipeline.stages.encode", MASKGIT_LAUNCH="torchhurry")
