"""Starts MLflow's UI, with links to the table and the charts of the experiments."""

import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
import zlib
from contextlib import suppress

from mlflow import MlflowClient

from maskgit.scoring.scores import DECIDES, PERCEPTUAL, PSNR, score_columns
from pipeline.commands.experiments import differing, headline, report_runs
from pipeline.plumbing.errors import handled_signals, stop_now
from pipeline.tracking.store import open_store, own_store, store_uri, without_password

VIEW_TAG = "mlflow.sharedViewState."  # prefix of the tags in which the UI keeps views of a table
EXPERIMENTS_COMPARED = 100  # the newest; parameters in which they differ become columns
FIRST = (DECIDES, PERCEPTUAL, PSNR)  # scores in the first columns, seen without scrolling


def report_view(scores: list[str], params: list[str]) -> dict[str, object]:
    """Returns the UI's view of the experiments, newest first.

    Columns: the scores, the parameters that differ, and the answer.
    """
    columns = [f"metrics.`{name}`" for name in scores] + [f"params.`{name}`" for name in params]
    return {
        "searchFilter": "tags.stage = 'report'",  # older versions kept the other stages here, too
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": [*columns, "tags.`n`", "tags.`answer`"],
    }


def keep_view(client: MlflowClient, experiment: str, view: dict[str, object]) -> str:
    """Stores a view with the experiment, as the UI's own "Share" does; returns its key."""
    text = json.dumps(view, sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()
    packed = base64.b64encode(zlib.compress(text.encode())).decode()
    client.set_experiment_tag(experiment, f"{VIEW_TAG}{key}", f"deflate;{packed}")
    return key


def links(address: str) -> dict[str, str]:
    """Returns the links to table and charts. Raises UserError where there is no report.

    address: of the server of MLflow's UI.
    """
    runs = report_runs(EXPERIMENTS_COMPARED)
    found = headline(runs[0])
    scores = [c.name for score in FIRST for c in score_columns(found) if c.score is score]
    client, experiment, _ = open_store()
    page = f"{address}/#/experiments/{experiment}/runs"
    key = keep_view(client, experiment, report_view(scores, differing(runs)))
    shared = f"workflowType=machine_learning&viewStateShareKey={key}"
    return {"experiments": f"{page}?{shared}", "charts": f"{page}?{shared}&compareRunsMode=CHART"}


def running_server() -> str | None:
    """Returns the address of the server that MLFLOW_TRACKING_URI names; None for other stores."""
    uri = store_uri()
    return without_password(uri).rstrip("/") if uri.startswith(("http://", "https://")) else None


def serve(port: int) -> int:
    """Runs MLflow's server for the store until it is stopped; returns its exit code.

    The server starts a process of its own and does not end it when it is stopped. So both have a
    session of their own, which ends with this command, also where the terminal is closed.
    """
    command = [sys.executable, "-m", "mlflow", "server"]
    command += ["--backend-store-uri", store_uri() or own_store()]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    # MLflow's jobs evaluate language models. Each kind of job would start a process.
    lean = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with handled_signals(stop_now):
        process = subprocess.Popen(command, env=lean, start_new_session=True)
        try:
            return process.wait()
        finally:
            with suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
