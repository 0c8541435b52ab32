"""MLflow: one run a stage execution, in the store of the real project.

Files are the truth and MLflow mirrors them: no run id is ever written into a stage's outputs.
A run is tagged with the content hash of what it made, and is found again by that hash.
"""

import json
import logging
import os
import subprocess
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import numpy as np
import pandas as pd
from filelock import FileLock
from pydantic import BaseModel
from tqdm import tqdm

from pipeline.files import content_hash, project_root

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Run, RunTag
from mlflow.exceptions import MlflowException

EXPERIMENT = "maskgit"
OUTPUT_TAG = "output_sha256"
KEY_TAG = "key"
KIND = {"mlflow.experimentKind": "custom_model_development"}  # else the UI looks for chat traces


def open_store() -> None:
    """Points MLflow at the project's store, making it if need be.

    The lock keeps two first starts from racing on the database schema.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="mlflow")
    root = project_root()
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri or f"sqlite:///{root}/mlflow.db")
    with FileLock(root / "mlflow.db.lock"):
        if mlflow.get_experiment_by_name(EXPERIMENT) is None:
            location = None if uri else (root / "mlruns").as_uri()
            try:
                mlflow.create_experiment(EXPERIMENT, location, KIND)
            except MlflowException:  # on a server, somebody else was faster
                if mlflow.get_experiment_by_name(EXPERIMENT) is None:
                    raise
    mlflow.set_experiment(EXPERIMENT)


def git_commit() -> str:
    try:
        answer = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    except OSError:
        return "unknown"
    return answer.stdout.strip() or "unknown"


def flat(values: Mapping, prefix: str = "") -> dict[str, object]:
    """Nested parameters with dotted names."""
    result = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[prefix + key] = value
    return result


class StageRun:
    """One run in MLflow, as a stage sees it."""

    def __init__(self, key: str, client: MlflowClient, run: Run):
        self.key, self._client, self._id = key, client, run.info.run_id
        self._tables = []

    def run_id(self) -> str | None:
        """MLflow's id of the run; None while its store does not answer."""
        return self._id

    def log_metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        now = int(time.time() * 1000)
        metrics = [Metric(name, float(value), now, step or 0) for name, value in values.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def log_artifact(self, path: Path, folder: str = "") -> None:
        self._client.log_artifact(self._id, path, folder or None)

    def log_artifacts(self, folder: Path) -> None:
        self._client.log_artifacts(self._id, folder)

    def log_table(self, table: pd.DataFrame, name: str) -> None:
        """Writes a table as mlflow.log_table does, but whole: the same table twice is one table."""
        self._client.log_text(self._id, table.to_json(orient="split", index=False), name)
        self._tables.append({"path": name, "type": "table"})
        self.set_tags({"mlflow.loggedArtifacts": json.dumps(self._tables)})

    def log_image(self, image: np.ndarray, key: str, step: int) -> None:
        """An image of a series, uint8 (H, W, 3), for the grid of images in MLflow's UI."""
        self._client.log_image(self._id, image, key=key, step=step)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self._client.log_batch(self._id, tags=[RunTag(*tag) for tag in tags.items()])

    def set_note(self, markdown: str) -> None:
        """The description on the run's page."""
        self.set_tags({"mlflow.note.content": markdown})


@contextmanager
def stage_run(
    stage: str,
    params: Mapping[str, object] | BaseModel,
    output: Path,
    item: str = "",
    key: str | None = None,
) -> Iterator[StageRun]:
    """An MLflow run around a stage's work; `output` is what it makes, hashed when it is done.

    `key` continues the run that has it.
    """
    open_store()
    values = params.model_dump() if isinstance(params, BaseModel) else params
    experiment = os.environ.get("DVC_EXP_NAME", "")
    name = " ".join(filter(None, [f"{stage}@{item}" if item else stage, experiment]))
    tags = {"stage": stage, "git_commit": git_commit(), "dvc_experiment": experiment}
    key = key or uuid4().hex
    with mlflow.start_run(run_name=name, tags=tags | {KEY_TAG: key}) as run:
        mlflow.log_params(flat(values))
        yield StageRun(key, MlflowClient(), run)
        mlflow.set_tag(OUTPUT_TAG, content_hash(output))


def find_maker(output: Path) -> Run | None:
    """The newest finished run whose output had the content that `output` has now."""
    found = mlflow.search_runs(
        experiment_names=[EXPERIMENT],
        filter_string=f"tags.{OUTPUT_TAG} = '{content_hash(output)}' and status = 'FINISHED'",
        order_by=["start_time DESC"],
        max_results=1,
        output_format="list",
    )
    return found[0] if found else None


def run_link(run: Run) -> str:
    """A markdown link to the run's page in the MLflow UI."""
    page = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    return f"[{run.info.run_name}]({page})"


def log_progress(
    run: StageRun, bar: tqdm, history: list[dict], step: int, metrics: dict[str, float], steps: int
) -> None:
    """Logs about a hundred times a training, and whenever there was an evaluation."""
    evaluated = any(key.startswith("val_") for key in metrics)
    if not evaluated and step % max(1, steps // 100):
        return
    history.append({"step": step} | metrics)
    run.log_metrics(metrics, step)
    bar.set_postfix({key: f"{value:.3f}" for key, value in metrics.items() if key.endswith("loss")})
