"""Kills, stops, damage and full disks: nothing is lost, and one line says what to do.

The figures of docs/safety.md are those of `python -m tests.faults --kills 20`.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.plumbing.hashing import content_hash
from tests.faults import COMMANDS, kill_stages, outputs

KILLS = int(os.environ.get("MASKGIT_KILLS", 2))


@pytest.fixture(scope="module")
def clone(finished_clone, tmp_path_factory):
    """Every test here leaves the outputs as it found them."""
    return finished_clone.copy(tmp_path_factory.mktemp("faults") / "clone")


@pytest.fixture(scope="module")
def records(finished_clone):
    kills = dict.fromkeys(COMMANDS, KILLS)
    return {record.stage: record for record in kill_stages(finished_clone, kills)}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_stage_killed_at_random_moments_ends_with_the_same_bytes(records, name):
    record = records[name]
    assert record.survived == record.kills > 0


def start(clone, stage, **changes):
    command = COMMANDS[stage].split()
    return subprocess.Popen(
        [sys.executable, *command[1:]],
        cwd=clone.folder,
        env=clone.environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def remove_outputs(clone, stage):
    for path in outputs(stage):
        shutil.rmtree(clone.folder / path)


def read_until(stream, text):
    """Waits until a process has said something; returns all that it said so far."""
    said = b""
    while text not in said:
        chunk = stream.read1()
        assert chunk, said[-2000:].decode()
        said += chunk
    return said


def test_a_training_killed_at_once_and_run_again_adds_no_run_to_that_of_its_entry(clone):
    stage, environment = "train_transformer", {"MASKGIT_SNAPSHOT_SECONDS": "0"}
    client = MlflowClient(f"sqlite:///{clone.folder}/mlflow.db")
    experiment = client.get_experiment_by_name("maskgit stages").experiment_id

    def runs():
        found = client.search_runs([experiment], f"tags.stage = '{stage}'")
        return {
            run.info.run_id: client.get_metric_history(run.info.run_id, "train_loss")
            for run in found
        }

    before = runs()
    remove_outputs(clone, stage)
    process = start(clone, stage, **environment)
    read_until(process.stderr, b" 8/")
    process.kill()
    process.communicate()
    output, _ = start(clone, stage, **environment).communicate()
    assert b"resuming at step" in output
    ((_, curve),) = runs().items()
    assert runs().keys() == before.keys() and len(curve) == len({point.step for point in curve})


def test_a_stopped_training_says_so_and_goes_on_to_the_same_bytes(clone):
    stage, stop = "train_vqgan", signal.SIGINT
    made = clone.folder / outputs(stage)[0]
    expected = content_hash(made)
    remove_outputs(clone, stage)
    process = start(clone, stage)
    said = read_until(process.stderr, b" 5/")
    process.send_signal(stop)
    said = (said + process.communicate()[1]).decode()
    assert process.returncode == 128 + stop
    (line,) = [line for line in said.splitlines() if line.startswith("stopped at step")]
    assert "run dvc repro again" in line and "Traceback" not in said
    assert not made.exists()
    done = int(line.split(";")[0].split()[-1])

    process = start(clone, stage)
    out, _ = process.communicate()
    assert process.returncode == 0
    assert f"resuming at step {done} of " in out.decode()
    assert content_hash(made) == expected
    assert not list(clone.folder.glob(".maskgit/snapshots/*.pt"))


def test_a_stage_without_snapshots_stops_without_a_trace(clone):
    made = clone.folder / outputs("inpaint")[0]
    expected = content_hash(made)
    process = start(clone, "inpaint")
    read_until(process.stderr, b"inpaint cosine:")
    process.send_signal(signal.SIGTERM)
    said = process.communicate()[1].decode()
    assert process.returncode == 128 + signal.SIGTERM
    assert said.splitlines()[-1] == "stopped" and "Traceback" not in said
    assert not list(made.parent.glob("*.partial"))
    assert content_hash(made) == expected


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


DAMAGED = [
    ("encode", "outputs/vqgan/model.safetensors", flip),
    ("inpaint", "outputs/transformer/model.safetensors", cut),
    ("train_vqgan", "data/prepared/train.npy", cut),
    ("train_transformer", "data/tokens/train.npy", flip),
    ("score", "outputs/reference/extractor.txt", Path.unlink),
]


@pytest.mark.parametrize(("stage", "file", "damage"), DAMAGED)
def test_a_damaged_file_is_named_with_the_command_that_mends_it(clone, stage, file, damage):
    path = clone.folder / file
    whole = path.read_bytes()
    damage(path)
    process = start(clone, stage)
    said = process.communicate()[1].decode()
    path.write_bytes(whole)
    assert process.returncode == 1 and "Traceback" not in said
    assert said.splitlines()[-1].startswith(f"error: {file} ")
    assert "'dvc repro'" in said.splitlines()[-1]


def test_dvc_repro_does_mend_them(clone):
    before = {file: content_hash(clone.folder / file) for _, file, _ in DAMAGED}
    for _, file, damage in DAMAGED:
        damage(clone.folder / file)
    clone.run("dvc", "repro")
    assert {file: content_hash(clone.folder / file) for file in before} == before


@pytest.fixture
def small_disk(clone):
    """A real disk of half a megabyte where the prepared images belong; needs the right to mount."""
    folder = clone.folder / "data"
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_stage_that_meets_a_full_disk_says_where_and_leaves_nothing(clone, small_disk):
    process = start(clone, "prepare")
    said = process.communicate()[1].decode()
    assert process.returncode == 1 and "Traceback" not in said
    assert said.splitlines()[-1].startswith("error: data/prepared: the disk is full")
    assert not list(small_disk.iterdir())
