"""MLflow's store: where runs go, and how one finds them again.

The experiment `maskgit` holds a run for each report, `maskgit stages` one for each other stage.
Older versions kept all of them in `maskgit`.

MLflow is imported where it is used, since that takes longer than most that is done with it.
"""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from filelock import FileLock

from pipeline.plumbing.places import project_root

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")  # seconds
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # what fails is sent again later
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

EXPERIMENT, STAGES = "maskgit", "maskgit stages"
KEY_TAG = "key"  # our own name of a run, by which a training that was stopped goes on with it
ENTRY_TAG = "entry_sha256"  # of its entry in dvc.lock: see `entry`
OUTPUT_TAG = "output_sha256"  # of the content of what it made
NEWEST, OLDEST = "start_time DESC", "start_time ASC"


class Store(NamedTuple):
    """A client, and the ids of our experiments: reports, and the stages behind them."""

    client: MlflowClient
    reports: str
    stages: str

    def runs(self, query: str, order: str = OLDEST) -> list[Run]:
        """The first thousand runs of both experiments that answer to MLflow's query."""
        return self.client.search_runs([self.reports, self.stages], query, order_by=[order])

    def find_maker(self, content: str) -> Run | None:
        """The newest finished run whose output had this content hash."""
        query = f"tags.{OUTPUT_TAG} = '{content}' and status = 'FINISHED'"
        return next(iter(self.runs(query, NEWEST)), None)


_stores: dict[str, Store] = {}


def own_store() -> str:
    return f"sqlite:///{project_root()}/mlflow.db"


def store_uri() -> str:
    """Where runs go; empty for the project's own store.

    Also where the environment names that one: MLflow writes there what `set_tracking_uri` is told.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    return "" if uri == own_store() else uri


def open_store(uri: str | None = None) -> Store:
    """Opens a store, which is made if need be, with our experiments in it.

    The lock keeps two first starts from racing on the database schema.
    """
    import mlflow

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
            location = None if uri else (root / "mlruns").as_uri()
            ids = [find_experiment(client, name, location) for name in (EXPERIMENT, STAGES)]
        _stores[address] = Store(client, *ids)
    if uri == store_uri():  # for whoever calls MLflow without a client
        mlflow.set_tracking_uri(address)
        mlflow.set_experiment(experiment_id=_stores[address].reports)
    return _stores[address]


def find_experiment(client: MlflowClient, name: str, location: str | None) -> str:
    """The id of an experiment, which is made if need be. Its tag opens the list of runs first."""
    from mlflow.exceptions import MlflowException

    if client.get_experiment_by_name(name) is None:
        tags = {"mlflow.experimentKind": "custom_model_development"}
        with suppress(MlflowException):  # on a server, somebody else was faster
            client.create_experiment(name, location, tags)
    return client.get_experiment_by_name(name).experiment_id


def make_database(path: Path) -> None:
    """Whole or not at all: it takes seconds, and a kill would leave one that never opens again."""
    import mlflow

    if not path.exists():
        partial = path.with_name(f"{path.name}.partial")
        partial.unlink(missing_ok=True)
        mlflow.MlflowClient(f"sqlite:///{partial}")
        partial.rename(path)
