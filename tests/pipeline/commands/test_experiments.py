"""maskgit compare and ui: the experiments in MLflow's store, by what differs and their scores."""

import base64
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
from pipeline.tracking.store import EXPERIMENT
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
    assert result.exit_code == 1 and "run 'dvc repro' to make it" in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_the_ui_is_served_on_this_machine_with_the_reports_in_view(store):
    """A real server; what it shows of the view is drawn in the browser, by MLflow."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "pipeline", "ui", "--port", str(port)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=store, env=environment, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            links = [process.stdout.readline().decode().split()[-1] for _ in range(2)]
            assert all(link.startswith(f"http://127.0.0.1:{port}/#/experiments/") for link in links)
            wait_for_server(f"http://127.0.0.1:{port}/health", process)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    (key,) = {re.search(r"viewStateShareKey=(\w+)", link)[1] for link in links}
    kept = MlflowClient().get_experiment_by_name(EXPERIMENT).tags[f"mlflow.sharedViewState.{key}"]
    packed = base64.b64decode(kept.removeprefix("deflate;"))
    view = json.loads(zlib.decompress(packed))
    assert view["searchFilter"] == "tags.stage = 'report'"
    first = ["metrics.`kid`", "metrics.`psnr_hole`", "params.`gamma`", "params.`train.gamma`"]
    assert view["selectedColumns"][:4] == first


def wait_for_server(address, process):
    while True:
        assert process.poll() is None
        try:
            return urllib.request.urlopen(address, timeout=5)
        except OSError:
            time.sleep(0.2)
