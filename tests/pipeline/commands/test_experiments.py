"""maskgit compare and ui: the experiments in MLflow's store, by what differs and their scores."""

import base64
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zlib

import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.tracking.store import EXPERIMENT, open_store
from tests.clone import ROOT
from tests.store import project_with_store

SCORES = {"fid": 35.123, "kid": 0.123, "psnr_hole": 15.0421}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Three finished reports, one that failed, and a run of another stage."""
    folder = tmp_path_factory.mktemp("store")
    with project_with_store(folder):
        client = MlflowClient()
        experiment = client.get_experiment_by_name(EXPERIMENT)
        for i, (stage, gamma, steps, status) in enumerate(
            [
                ("report", "cosine", 100, "FINISHED"),
                ("report", "square", 100, "FINISHED"),
                ("report", "square", 200, "FAILED"),
                ("train_vqgan", "square", 200, "FINISHED"),
                ("report", "linear", 100, "FINISHED"),
            ]
        ):
            name, tags = f"{stage}@{gamma}", {"stage": stage, "n": "128"}
            run = client.create_run(experiment.experiment_id, 1000 + i, tags, name).info.run_id
            client.log_param(run, "gamma", gamma)
            client.log_param(run, "train.steps", steps)
            client.log_param(run, "train.gamma", "cosine" if gamma == "cosine" else "exp")
            for key, value in SCORES.items():
                prefix = "" if gamma == "cosine" else "interval/"  # an older version had none
                client.log_metric(run, key, value + i)
                client.log_metric(run, f"{prefix}{key}_low", value + i - 2)
                client.log_metric(run, f"{prefix}{key}_high", value + i + 2)
            client.log_metric(run, "bound/fid_tokenizer", 5.0)
            client.set_terminated(run, status)
        yield folder


def compare(*arguments):
    result = CliRunner().invoke(app, ["compare", *arguments])
    assert result.exit_code == 0, result.output
    return [line.split("  ") for line in result.output.splitlines()]


def cells(lines):
    return [[cell.strip() for cell in line if cell.strip()] for line in lines]


def test_a_row_for_each_report_the_newest_first(store):
    header, *rows = cells(compare())
    assert header == ["name", "gamma", "train.gamma", "n", "fid", "kid", "psnr_hole"]
    assert [row[:5] + row[6:] for row in rows] == [
        ["report@linear", "linear", "exp", "128", "39.1 [37.1, 41.1]", "19.0 [17.0, 21.0]"],
        ["report@square", "square", "exp", "128", "36.1 [34.1, 38.1]", "16.0 [14.0, 18.0]"],
        ["report@cosine", "cosine", "cosine", "128", "35.1 [33.1, 37.1]", "15.0 [13.0, 17.0]"],
    ]


def test_only_the_last_and_only_what_differs_among_them(store):
    header, *rows = cells(compare("--last", "2"))
    assert header == ["name", "gamma", "n", "fid", "kid", "psnr_hole"]
    assert [row[0] for row in rows] == ["report@linear", "report@square"]


def test_without_a_store_it_says_what_to_run_and_makes_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    result = CliRunner().invoke(app, ["compare"])
    assert result.exit_code == 1 and "run 'dvc repro' to make one" in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_without_a_store_files_that_came_from_dvcs_cache_are_to_be_recorded(tmp_path, monkeypatch):
    """No stage ran, and `dvc repro` would run none either."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages: {report: {cmd: report}}\n")
    result = CliRunner().invoke(app, ["compare"])
    assert result.exit_code == 1 and "maskgit reconcile" in str(result.exception)
    assert "dvc repro" not in str(result.exception)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.parametrize("verb", ["compare", "ui"])
def test_a_server_that_is_down_gets_a_line(tmp_path, monkeypatch, verb):
    monkeypatch.chdir(tmp_path)
    address = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    result = CliRunner().invoke(app, [verb])
    assert str(result.exception) == f"error: MLflow cannot say: {address} does not answer"


def answers(port):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).status == 200
    except OSError:
        return False


def wait_until(true):
    end = time.monotonic() + 300
    while not true():
        assert time.monotonic() < end
        time.sleep(0.2)


@pytest.fixture(scope="module")
def served(store):
    """Port and links of `maskgit ui` with a real server, which is then ended as by `kill`."""
    port = free_port()
    command = [sys.executable, "-m", "pipeline", "ui", "--port", str(port)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=store, env=environment, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            links = [process.stdout.readline().decode().split()[-1] for _ in range(2)]
            wait_until(lambda: answers(port) or process.poll() is not None)
            assert process.poll() is None
            process.terminate()
            assert process.wait() == 128 + signal.SIGTERM
            yield port, links
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_the_ui_is_served_on_this_machine_with_the_reports_in_view(served):
    """What a real server shows of the view is drawn in the browser, by MLflow."""
    port, links = served
    assert all(link.startswith(f"http://127.0.0.1:{port}/#/experiments/") for link in links)
    (key,) = {re.search(r"viewStateShareKey=(\w+)", link)[1] for link in links}
    kept = MlflowClient().get_experiment_by_name(EXPERIMENT).tags[f"mlflow.sharedViewState.{key}"]
    packed = base64.b64decode(kept.removeprefix("deflate;"))
    view = json.loads(zlib.decompress(packed))
    assert view["searchFilter"] == "tags.stage = 'report'"
    first = ["metrics.`kid`", "metrics.`psnr_hole`", "params.`gamma`", "params.`train.gamma`"]
    assert view["selectedColumns"][:4] == first


def test_a_ui_that_was_ended_leaves_no_server(served):
    port, _ = served
    wait_until(lambda: not answers(port))


def test_the_ui_of_a_store_at_a_server_starts_none(store, monkeypatch):
    address = "http://mlflow.example.org:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{address}/")
    opened = open_store("")
    monkeypatch.setattr("pipeline.commands.ui.open_store", lambda: opened)
    monkeypatch.setattr("pipeline.commands.experiments.open_store", lambda: opened)
    result = CliRunner().invoke(app, ["ui"])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert len(lines) == 2
    assert all(line.split()[-1].startswith(f"{address}/#/experiments/") for line in lines)
