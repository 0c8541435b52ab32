"""maskgit compare: the experiments in MLflow's store, by what differs and how they score."""

import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.tracking.store import EXPERIMENT
from tests.store import project_with_store

SCORES = {"fid": 35.123, "psnr_hole": 15.0421}


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
                for end, shift in (("", 0), ("_low", -2), ("_high", 2)):
                    client.log_metric(run, key + end, value + i + shift)
                client.log_metric(run, f"over_iterations/{key}", value, step=2)
            client.log_metric(run, "fid_tokenizer", 5.0)
            client.set_terminated(run, status)
        yield folder


def compare(*arguments):
    result = CliRunner().invoke(app, ["compare", *arguments])
    assert result.exit_code == 0, result.output
    return [line.split("  ") for line in result.output.splitlines()]


def cells(lines):
    return [[cell.strip() for cell in line if cell.strip()] for line in lines]


def test_a_row_for_each_report_the_newest_first(store):
    assert cells(compare()) == [
        ["name", "gamma", "train.gamma", "n", "fid", "psnr_hole"],
        ["report@linear", "linear", "exp", "128", "39.1 [37.1, 41.1]", "19.0 [17.0, 21.0]"],
        ["report@square", "square", "exp", "128", "36.1 [34.1, 38.1]", "16.0 [14.0, 18.0]"],
        ["report@cosine", "cosine", "cosine", "128", "35.1 [33.1, 37.1]", "15.0 [13.0, 17.0]"],
    ]


def test_only_the_last_and_only_what_differs_among_them(store):
    header, *rows = cells(compare("--last", "2"))
    assert header == ["name", "gamma", "n", "fid", "psnr_hole"]
    assert [row[0] for row in rows] == ["report@linear", "report@square"]


def test_without_a_store_it_says_what_to_run_and_makes_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    result = CliRunner().invoke(app, ["compare"])
    assert result.exit_code == 1 and "run 'dvc repro' to make it" in str(result.exception)
    assert not list(tmp_path.iterdir())
