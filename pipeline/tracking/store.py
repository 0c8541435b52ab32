"""Opens MLflow's store, and finds runs in it.

The experiment `maskgit` holds a run for each report, `maskgit stages` one for each other stage.
Older versions kept all of them in `maskgit`.

MLflow is imported where it is used, since the import takes longer than most commands.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from filelock import FileLock

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.places import project_root
from pipeline.tracking.relocation import follow_project

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")  # seconds
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # what fails is sent again later
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

EXPERIMENT, STAGES = "maskgit", "maskgit stages"
KEY_TAG = "key"  # our own name of a run, by which a resumed training continues the run
ENTRY_TAG = "entry_sha256"  # of the run's entry in dvc.yaml, see `pipeline.plumbing.entry`
OUTPUT_TAG = "output_sha256"  # of the content of the stage's first output
NEWEST, OLDEST = "start_time DESC", "start_time ASC"


class Store(NamedTuple):
    """MLflow's client, and the ids of both experiments: reports, and the stages behind them."""

    client: MlflowClient
    reports: str
    stages: str

    def runs(self, query: str, order: str = OLDEST) -> list[Run]:
        """Returns the first thousand runs of both experiments that match a query of MLflow."""
        return self.client.search_runs([self.reports, self.stages], query, order_by=[order])

    def find_maker(self, content: str) -> Run | None:
        """Returns the newest finished run whose output has this content hash."""
        query = f"tags.{OUTPUT_TAG} = '{content}' and status = 'FINISHED'"
        return next(iter(self.runs(query, NEWEST)), None)


_stores: dict[str, Store] = {}


def own_store() -> str:
    """Returns the address of the project's own store."""
    return f"sqlite:///{project_root()}/mlflow.db"


def store_uri() -> str:
    """Returns the address of the store that runs go to, '' for the project's own store."""
    return absolute(os.environ.get("MLFLOW_TRACKING_URI", ""))


def absolute(uri: str) -> str:
    """Returns a store's URI with a relative path meant from the project's root.

    The working directory may be a copy that is thrown away: see `project_root`. The URI is '' for
    the project's own store, also where its address is given: MLflow sets the variable itself in
    `set_tracking_uri`.
    """
    root = project_root()
    if match := re.fullmatch(r"(sqlite[+\w]*:///)(?!:memory:|file:)(.+)", uri):
        uri = f"{match[1]}{root / match[2]}"
    elif match := re.fullmatch(r"file:(?!/)(.+)", uri):
        uri = (root / unquote(match[1])).as_uri()
    elif uri not in ("", "databricks") and ":" not in uri:
        uri = str(root / uri)
    return "" if uri == own_store() else uri


def database_file(uri: str) -> Path | None:
    """Returns the file of a SQLite store, None for any other."""
    match = re.fullmatch(r"sqlite[+\w]*:///(/[^?]+)(\?.*)?", uri)
    return Path(match[1]) if match else None


def open_store(uri: str | None = None) -> Store:
    """Opens a store and both experiments, and makes them where they do not exist.

    The lock keeps two first starts from racing on the database schema.
    """
    import mlflow
    from mlflow.store.db.db_types import DATABASE_ENGINES
    from mlflow.utils.uri import get_uri_scheme

    uri = store_uri() if uri is None else absolute(uri)
    root = project_root()
    if "?" in str(root):  # what follows it, SQLite takes for options
        raise UserError(f"{root}: MLflow needs a project folder without '?' in its name; rename it")
    address = uri or own_store()
    if address not in _stores:
        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        warnings.filterwarnings("ignore", module="mlflow")
        database, artifacts = database_file(address), root / "mlruns"
        with FileLock(root / "mlflow.db.lock"):
            if database:
                make_database(database)
            client = mlflow.MlflowClient(address)
            if database and database.is_relative_to(root):  # no other project's
                follow_project(database, artifacts, (EXPERIMENT, STAGES))
            is_database = get_uri_scheme(address) in DATABASE_ENGINES  # a server has its own place
            location = artifacts.as_uri() if is_database else None
            ids = [find_experiment(client, name, location) for name in (EXPERIMENT, STAGES)]
        _stores[address] = Store(client, *ids)
    if uri == store_uri():  # for code that calls MLflow without a client
        mlflow.set_tracking_uri(address)
        mlflow.set_experiment(experiment_id=_stores[address].reports)
    return _stores[address]


def without_password(address: str) -> str:
    """Returns an address, or words that have one, without the user and password in it."""
    return re.sub(r"://[^/@\s]+@", "://", address)


def find_experiment(client: MlflowClient, name: str, location: str | None) -> str:
    """Returns the id of an experiment, which is made if need be.

    The tag makes the UI open the experiment with its list of runs.
    """
    from mlflow.exceptions import MlflowException

    if client.get_experiment_by_name(name) is None:
        tags = {"mlflow.experimentKind": "custom_model_development"}
        try:
            client.create_experiment(name, location, tags)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # somebody else was faster
                raise
    return client.get_experiment_by_name(name).experiment_id


def make_database(path: Path) -> None:
    """Makes the database under another name and renames it when it is complete.

    That takes seconds, and an incomplete database, left by a kill, could never be opened again.
    """
    import mlflow

    if not path.exists():
        partial = path.with_name(f"{path.name}.partial")
        partial.unlink(missing_ok=True)
        mlflow.MlflowClient(f"sqlite:///{partial}")
        partial.rename(path)
