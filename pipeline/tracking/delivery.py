"""Sends what spools hold to MLflow's store.

Sending twice has the effect of sending once, so nobody has to remember what was sent. A run is
found by its key, a metric is sent only for a step that MLflow lacks, and a file replaces itself.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.plumbing.errors import UserError
from pipeline.tracking.spool import Spool, ended_spools
from pipeline.tracking.store import (
    ENTRY_TAG,
    EXPERIMENT,
    KEY_TAG,
    open_store,
    store_uri,
    without_password,
)

if TYPE_CHECKING:
    from mlflow.entities import Run

PAUSE = 0.5  # seconds between two looks at the spool
RETRY = 5  # seconds until a store that did not answer is asked again
SERVER_PATIENCE = 3  # seconds that a stage waits for a server's next answer, at its end
FILE_PATIENCE = 60  # the same for a store in a file, which is slow only on a slow machine
# The same for the import of MLflow, which never ends if a stop left Python's import lock taken.
IMPORT_PATIENCE = 20
AT_ONCE = {"metrics": 1000, "params": 100, "tags": 100}  # MLflow's own limits
REJECTED = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST")
LATER = (401, 403, 408, 429)  # statuses of HTTP that another try may not meet
LONGEST_NAME = 250  # of a run, in MLflow's databases


class Mirror:
    """Copies one spool into a run of MLflow.

    Raises whatever the store raises when it does not answer.
    """

    def __init__(self, spool: Spool, progress: Callable[[], None] = lambda: None):
        """progress: called after each answer of the store."""
        self.spool, self.progress = spool, progress
        first = spool.records()[0]
        self.store = open_store(first["store"])
        self.client = self.store.client
        self.sent, self.refused, self.is_whole = 0, [], False
        own = self._own_runs()
        run = own[0] if own else self._create(first)
        self.run_id, self.params = run.info.run_id, run.data.params
        if run.info.status != "RUNNING":
            self.client.update_run(self.run_id, "RUNNING")
        self.steps = {
            (name, point.step)
            for name in run.data.metrics
            for point in self.client.get_metric_history(self.run_id, name)
        }
        progress()

    def _own_runs(self) -> list[Run]:
        return self.store.runs(f"tags.{KEY_TAG} = '{self.spool.key}'")

    def _create(self, first: dict) -> Run:
        experiment = first.get("experiment", EXPERIMENT)
        where = self.store.reports if experiment == EXPERIMENT else self.store.stages
        tags = {KEY_TAG: self.spool.key}
        return self.client.create_run(where, first["time"], tags, first["name"][:LONGEST_NAME])

    def update(self) -> None:
        """Sends what the spool holds since the last call, and removes the spool after its end."""
        from mlflow.entities import Metric, Param, RunTag

        records = self.spool.records()
        new, metrics, params, tags = records[self.sent :], {}, {}, {}
        for record in new:
            for name, value in record.get("values", {}).items():
                match record["op"]:
                    case "metrics" if (name, record["step"]) not in self.steps:
                        point = Metric(name, value, record["time"], record["step"])
                        metrics.setdefault((name, record["step"]), point)
                    case "params" if name not in self.params:  # they cannot be changed
                        params.setdefault(name, Param(name, value))
                    case "tags":
                        tags[name] = RunTag(name, value)
        for kind, values in (("metrics", metrics), ("params", params), ("tags", tags)):
            if not self.is_whole:
                self._log(kind, list(values.values()))
        self.steps |= metrics.keys()
        self.params |= params
        for record in new:
            if self.is_whole:  # another run has the same entry and all that follows
                break
            self._try(partial(self._send, record), record["op"])
        self.sent = len(records)
        if records[-1]["op"] == "end":
            self.is_whole = True
            self.spool.remove()

    def _log(self, kind: str, values: list) -> None:
        """Sends as many values at once as MLflow takes; if it refuses one, sends each by itself."""
        for i in range(0, len(values), AT_ONCE[kind]):
            batch = values[i : i + AT_ONCE[kind]]
            send = partial(self.client.log_batch, self.run_id, **{kind: batch})
            alone = len(batch) == 1
            if not self._try(send, kind, tell=alone) and not alone:
                for value in batch:
                    self._log(kind, [value])

    def _try(self, send: Callable[[], object], what: str, tell: bool = True) -> bool:
        """Returns whether MLflow accepted what `send` sends.

        Keeps a line for what MLflow will never accept.
        """
        try:
            send()
        except Exception as error:
            if not is_final(error):
                raise
            if tell:
                self.refused.append(f"MLflow refused {what}: {error}")
            return False
        finally:
            self.progress()
        return True

    def _send(self, record: dict) -> None:
        match record["op"]:
            case "file":
                path = self.spool.folder / record["file"]
                if path.is_dir():
                    self.client.log_artifacts(self.run_id, str(path))
                else:
                    self.client.log_artifact(self.run_id, str(path), record["folder"] or None)
            case "dataset":
                self._send_dataset(record)
            case "note":
                self._send_note(record["words"], record["outputs"])
            case "entry":
                self._tag_entry(record["sha256"])
            case "end":
                self.client.set_terminated(self.run_id, record["status"], record["time"])
                for run in self._own_runs():  # a slow server may have made two
                    if run.info.run_id != self.run_id:
                        self.client.delete_run(run.info.run_id)

    def _tag_entry(self, entry: str) -> None:
        """Tags the run with its entry of dvc.lock, unless another finished run has the same entry.

        Then this run is deleted, and the other one stands for both.
        """
        same = self.store.runs(f"tags.{ENTRY_TAG} = '{entry}' and status = 'FINISHED'")
        if same and same[0].info.run_id != self.run_id:
            self.client.delete_run(self.run_id)
            self.run_id, self.is_whole = same[0].info.run_id, True
        else:
            self.client.set_tag(self.run_id, ENTRY_TAG, entry)

    def _send_dataset(self, record: dict) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = record["source"]
        kept = json.dumps({"uri": source})
        dataset = Dataset(Path(source).name, record["digest"], "local", kept)
        tags = [InputTag("mlflow.data.context", record["context"])]
        self.client.log_inputs(self.run_id, [DatasetInput(dataset, tags)])

    def _send_note(self, words: str, outputs: dict[str, str]) -> None:
        """Sets the run's description: the words, then links to the runs that made these outputs."""
        lines = [words, "", "Runs behind this report:"]
        for stage, content in outputs.items():
            run = self.store.find_maker(content)
            if run is None:
                lines.append(f"- {stage}: not found")
                continue
            page = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
            lines.append(f"- {stage}: [{run.info.run_name}]({page})")
        self.client.set_tag(self.run_id, "mlflow.note.content", "\n".join(lines))


def is_final(error: Exception) -> bool:
    """Returns whether sending the same again would have no use.

    So it is where MLflow refuses it, a server or its proxy does (as a file that is too large), and
    where the place of artifacts cannot be written from here.
    """
    from mlflow.exceptions import MlflowException
    from requests import HTTPError

    if isinstance(error, MlflowException):
        return error.error_code in REJECTED
    if isinstance(error, HTTPError):
        status = error.response.status_code
        return 400 <= status < 500 and status not in LATER
    return isinstance(error, FileNotFoundError | PermissionError | ImportError)


def send_ended(
    store: str | None = None, progress: Callable[[], None] = lambda: None
) -> tuple[list[str], Exception | None]:
    """Sends the spools of runs that have ended, those for one store or all.

    Returns a line for each record that MLflow will never accept, and the last fault of a store. A
    store that did not answer is not asked again.
    """
    refused, fault, silent = [], None, set()
    for spool in ended_spools(store):
        if (where := spool.records()[0]["store"]) not in silent:
            try:
                mirror = Mirror(spool, progress)
                mirror.update()
                refused += mirror.refused
            except Exception as error:
                fault = error
                silent.add(where)
    return refused, fault


def runs_waiting(store: str | None = None) -> int:
    """Returns how many ended runs wait to be sent."""
    return sum(1 for _ in ended_spools(store))


@contextmanager
def asking_mlflow() -> Iterator[None]:
    """Turns a fault of MLflow's store into a UserError."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        raise UserError(f"MLflow cannot say: {reason(error)}") from None


def reason(fault: Exception) -> str:
    """Returns a fault of the store in a few words."""
    line = without_password((str(fault) or repr(fault)).splitlines()[0])
    return re.sub(r"API request to (\S+?)/api/\S* failed .*", r"\1 does not answer", line)[:150]


class Sender(threading.Thread):
    """Sends a run's records while the stage runs, and at its start what earlier runs left."""

    def __init__(self, spool: Spool):
        super().__init__(daemon=True, name="sender")
        self.spool = spool
        is_file = not store_uri() or store_uri().startswith("sqlite")
        self.patience = FILE_PATIENCE if is_file else SERVER_PATIENCE
        self.mirror: Mirror | None = None
        self.refused: list[str] = []
        self.fault: Exception | None = None
        self._closing = threading.Event()
        self._asked = float("inf")  # time of the last request; inf until MLflow is imported

    def run(self) -> None:
        import mlflow  # noqa: F401  the import does not count as the store's time

        self._progress()
        is_last = False
        while not is_last:
            is_last = self._closing.is_set()
            try:
                if self.mirror is None:
                    self.mirror = Mirror(self.spool, self._progress)
                    self.refused = self.mirror.refused
                    self.refused += send_ended(store_uri(), self._progress)[0]
                self.mirror.update()
                self.fault = None
            except Exception as error:
                self.fault = error
            self._closing.wait(0 if is_last else RETRY if self.fault else PAUSE)

    def finish(self) -> str | None:
        """Sends the rest, or gives up when the store has not answered for `patience` seconds.

        Returns MLflow's id of the run, None where MLflow does not hold it whole.
        """
        self._closing.set()
        end = time.monotonic()
        while self.is_alive():
            importing = self._asked == float("inf")
            since, most = (end, IMPORT_PATIENCE) if importing else (self._asked, self.patience)
            if time.monotonic() - max(since, end) >= most:
                break
            self.join(0.02)
        return self.mirror.run_id if self.mirror and self.mirror.is_whole else None

    def _progress(self) -> None:
        self._asked = time.monotonic()
