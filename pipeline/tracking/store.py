"""MLflow's store: where runs go, and how one finds them again.

MLflow is imported where it is used, since that takes longer than most that is done with it.
"""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from pipeline.plumbing.files import project_root

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")  # seconds
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # the spool is tried again
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

EXPERIMENT = "maskgit"
OUTPUT_TAG = "output_sha256"


_stores: dict[str, tuple[MlflowClient, str]] = {}


def own_store() -> str:
    return f"sqlite:///{project_root()}/mlflow.db"


def store_uri() -> str:
    """Where runs go; empty for the project's own store.

    Also where the environment names that one: MLflow writes there what `set_tracking_uri` is told.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    return "" if uri == own_store() else uri


def open_store(uri: str | None = None) -> tuple[MlflowClient, str]:
    """A client of a store, which is made if need be, and our experiment's id in it.

    The lock keeps two first starts from racing on the database schema.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    uri = store_uri() if uri is None else uri
    root = project_root()
    address = uri or own_store()
    if address not in _stores:
        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        warnings.filterwarnings("ignore", module="mlflow")
        with FileLock(root / "mlflow.db.lock"):
            if not uri:
                make_database(root / "mlflow.db")
            client = mlflow.MlflowClient(address)
            experiment = client.get_experiment_by_name(EXPERIMENT)
            if experiment is None:
                location = None if uri else (root / "mlruns").as_uri()
                with suppress(MlflowException):  # on a server, somebody else was faster
                    client.create_experiment(EXPERIMENT, location)
                experiment = client.get_experiment_by_name(EXPERIMENT)
        _stores[address] = client, experiment.experiment_id
    if uri == store_uri():  # for whoever calls MLflow without a client
        mlflow.set_tracking_uri(address)
        mlflow.set_experiment(experiment_id=_stores[address][1])
    return _stores[address]


def make_database(path: Path) -> None:
    """Whole or not at all: it takes seconds, and a kill would leave one that never opens again."""
    import mlflow

    if not path.exists():
        partial = path.with_name(f"{path.name}.partial")
        partial.unlink(missing_ok=True)
        mlflow.MlflowClient(f"sqlite:///{partial}")
        partial.rename(path)


def find_maker(client: MlflowClient, experiment: str, content: str) -> Run | None:
    """The newest finished run whose output had this content hash."""
    wanted = f"tags.{OUTPUT_TAG} = '{content}' and status = 'FINISHED'"
    found = client.search_runs([experiment], wanted, 1, 1, ["start_time DESC"])
    return found[0] if found else None
