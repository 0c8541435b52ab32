"""MLflow: one run a stage execution, in the store of the real project.

Files are the truth and MLflow mirrors them: no run id is ever written into a stage's outputs.
A run is tagged with the content hash of what it made, and is found again by that hash.
"""

import logging
import os
import subprocess
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel
from tqdm import tqdm

from pipeline.files import content_hash, project_root

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

EXPERIMENT = "maskgit"
OUTPUT_TAG = "output_sha256"


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
                mlflow.create_experiment(EXPERIMENT, artifact_location=location)
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
    """The run of a stage; `key` is what to give to `stage_run` to go on with the same one."""

    def __init__(self, key: str, logged: int):
        self.key = key
        self.logged = logged  # the last step that an earlier part of the run has logged

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if step is None or step > self.logged:
            mlflow.log_metrics(metrics, step=step)

    def log_artifacts(self, folder: Path) -> None:
        mlflow.log_artifacts(folder)


def last_step(run: Run) -> int:
    client = mlflow.MlflowClient()
    curves = (client.get_metric_history(run.info.run_id, name) for name in run.data.metrics)
    return max((point.step for curve in curves for point in curve), default=0)


@contextmanager
def stage_run(
    stage: str,
    params: Mapping[str, object] | BaseModel,
    output: Path,
    item: str = "",
    key: str | None = None,
) -> Iterator[StageRun]:
    """An MLflow run around a stage's work; `output` is what it makes, hashed when it is done.

    Where `key` is that of an earlier run, which was stopped, this one continues it.
    """
    open_store()
    values = params.model_dump() if isinstance(params, BaseModel) else params
    experiment = os.environ.get("DVC_EXP_NAME", "")
    name = " ".join(filter(None, [f"{stage}@{item}" if item else stage, experiment]))
    tags = {"stage": stage, "git_commit": git_commit(), "dvc_experiment": experiment}
    with mlflow.start_run(key, run_name=name, tags=tags) as run:
        mlflow.log_params(flat(values))
        try:
            yield StageRun(run.info.run_id, last_step(run) if key else 0)
        except (KeyboardInterrupt, SystemExit):
            mlflow.end_run("KILLED")
            raise
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
