"""Ctrl-C and SIGTERM: a training ends after the step at hand, everything else at once."""

import os
import signal
import threading
from types import SimpleNamespace

import pytest
import torch
from mlflow import MlflowClient

from maskgit.device import NoSuchDevice
from maskgit.training.trainer import Trainer
from pipeline.models.loop import train
from pipeline.plumbing import snapshots
from pipeline.plumbing.errors import SIGNALS, Stopped, UserError, plain_errors
from pipeline.plumbing.snapshots import Snapshots, snapshots_of
from pipeline.tracking.stage import stage_run
from pipeline.tracking.store import STAGES


class Counting(Trainer):
    """Sends itself `signals` in the middle of its third step."""

    steps = 5
    parts = {}  # noqa: RUF012

    def __init__(self, *signals):
        self.signals = signals

    def step(self):
        if self.done == 2:
            for signum in self.signals:
                os.kill(os.getpid(), signum)
        self.done += 1
        return {"loss": float(self.done)}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A project with one training stage `t`, and a log that remembers the steps."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    (tmp_path / "dvc.yaml").write_text("stages: {t: {deps: []}}")
    steps = []
    return SimpleNamespace(
        key="k", steps=steps, log_metrics=lambda metrics, step: steps.append(step)
    )


@pytest.fixture(autouse=True)
def terminal():
    """The terminal's signal stops a process, also where the tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_training_stops_between_two_steps_and_goes_on(run, signum, capsys):
    with pytest.raises(Stopped) as stop, snapshots_of("t", {}) as kept:
        train(Counting(signum), kept, run, "count")
    assert stop.value.code == 128 + signum
    assert stop.value.message == "stopped at step 3; run dvc repro again to go on from there"
    with snapshots_of("t", {}) as kept:
        assert kept.run_key == "k"
        history = train(Counting(), kept, run, "count")
    assert "resuming at step 3 of 5" in capsys.readouterr().out
    assert [row["step"] for row in history] == run.steps == [1, 2, 3, 4, 5]


def test_a_stop_does_not_promise_a_snapshot_that_was_not_kept(run):
    with pytest.raises(Stopped) as stop:
        train(Counting(signal.SIGINT), Snapshots(None, ""), run, "count")
    assert stop.value.message == "stopped at step 3; no snapshot of it was kept"


def test_a_stopped_training_and_its_rest_are_one_run_in_mlflow(run, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    output = tmp_path / "model"
    output.write_text("weights")

    def stage(*signals):
        with snapshots_of("t", {}) as kept, stage_run("t", {}, output, key=kept.run_key) as log:
            train(Counting(*signals), kept, log, "count")

    def runs():
        client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
        (experiment,) = [e for e in client.search_experiments() if e.name == STAGES]
        return client, client.search_runs([experiment.experiment_id])

    with pytest.raises(Stopped):
        stage(signal.SIGTERM)
    assert [found.info.status for found in runs()[1]] == ["KILLED"]
    stage()
    client, (found,) = runs()
    assert found.info.status == "FINISHED"
    curve = client.get_metric_history(found.info.run_id, "loss")
    assert [(point.step, point.value) for point in curve] == [(i, float(i)) for i in range(1, 6)]


def test_a_second_signal_does_not_wait_for_the_step(run):
    with pytest.raises(Stopped) as stop, snapshots_of("t", {}) as kept:
        train(Counting(signal.SIGINT, signal.SIGINT), kept, run, "count")
    assert stop.value.message == "stopped"
    assert not list(snapshots.folder().glob("*.pt"))


def test_a_loss_that_is_no_number_is_one_line(run):
    trainer = Counting()
    trainer.step = lambda: {"train_loss": torch.tensor(torch.nan), "val_loss": 1.0}
    with pytest.raises(UserError, match="train_loss is nan at step 0 of count; lower its learning"):
        train(trainer, snapshots.Snapshots(None, ""), run, "count")


@pytest.mark.parametrize("signum", SIGNALS)
def test_every_command_ends_with_one_line_and_the_shells_code(signum, capsys):
    handlers = [signal.getsignal(s) for s in SIGNALS]
    cleaned = []
    with pytest.raises(SystemExit) as end, plain_errors():
        try:
            os.kill(os.getpid(), signum)
        finally:
            cleaned.append(True)
    assert end.value.code == 128 + signum and cleaned
    assert capsys.readouterr().err == "stopped\n"
    assert [signal.getsignal(s) for s in SIGNALS] == handlers


def test_a_command_under_nohup_outlives_its_terminal():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with plain_errors():
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (NoSuchDevice("no device 'gpu' here"), "error: no device 'gpu' here"),
        (torch.OutOfMemoryError("CUDA out of memory"), "error: out of memory; for a training, -S"),
        (MemoryError(), "error: out of memory; for a training, -S train.accumulate=2"),
    ],
)
def test_a_missing_device_and_full_memory_are_told_in_one_line(fault, said):
    with pytest.raises(SystemExit) as end, plain_errors():
        raise fault
    (line,) = end.value.code.splitlines()
    assert line.startswith(said)


def test_a_fault_of_the_code_keeps_its_traceback():
    with pytest.raises(ValueError, match="a fault"), plain_errors():
        raise ValueError("a fault")


def test_outside_the_main_thread_signals_are_left_alone():
    ends = []

    def work():
        with plain_errors():
            ends.append([signal.getsignal(s) for s in SIGNALS])

    before = [signal.getsignal(s) for s in SIGNALS]
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ends == [before]
