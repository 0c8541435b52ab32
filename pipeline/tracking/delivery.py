"""What spools hold is sent to MLflow's store, in order, once, whenever it answers.

A process can be killed between the sending of a record and the note that it was sent, so every
record may be sent twice with the effect of once: a run is found again by the tag with its key, a
file replaces itself, and MLflow drops a metric of the same name, step, time and value.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.tracking.spool import Spool, prune, spools
from pipeline.tracking.store import find_maker, open_store, store_uri

if TYPE_CHECKING:
    from mlflow.entities import Run

KEY_TAG = "key"
PAUSE = 0.5  # seconds between two looks at the spool
RETRY = 5  # seconds until a store that did not answer is asked again
SERVER_PATIENCE = 3  # seconds that a stage waits for a server's next answer, at its end
FILE_PATIENCE = 60  # as much for a store in a file, which is slow only where the machine is
METRICS_AT_ONCE, PARAMS_AT_ONCE = 1000, 100  # MLflow's own limits
REJECTED = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST")


class Delivery:
    """Sends the records of one spool. Raises whatever the store raises when it does not answer."""

    def __init__(self, spool: Spool):
        self.spool = spool
        self.first = spool.first()
        self.client, self.experiment = open_store(self.first["store"])
        if spool.run_id is None:
            runs = self._runs()
            spool.run_id = (runs[0] if runs else self._create()).info.run_id
        self.run_id = spool.run_id

    def _runs(self) -> list[Run]:
        wanted = f"tags.{KEY_TAG} = '{self.spool.key}'"
        return self.client.search_runs([self.experiment], wanted, order_by=["start_time ASC"])

    def _create(self) -> Run:
        first = self.first
        tags = {KEY_TAG: self.spool.key}
        return self.client.create_run(self.experiment, first["time"], tags, first["name"])

    def send(self, records: list[dict]) -> None:
        """One record, or several of metrics."""
        from mlflow.entities import Metric, Param, RunTag

        client, run_id, record = self.client, self.run_id, records[0]
        match record["op"]:
            case "continue":
                client.update_run(run_id, "RUNNING")
            case "params":  # they cannot be changed: where a run is continued, only new ones
                known = client.get_run(run_id).data.params
                new = [Param(*item) for item in record["values"].items() if item[0] not in known]
                for i in range(0, len(new), PARAMS_AT_ONCE):
                    client.log_batch(run_id, params=new[i : i + PARAMS_AT_ONCE])
            case "tags":
                client.log_batch(run_id, tags=[RunTag(*item) for item in record["values"].items()])
            case "metrics":
                metrics = [
                    Metric(name, value, record["time"], record["step"])
                    for record in records
                    for name, value in record["values"].items()
                ]
                client.log_batch(run_id, metrics=metrics)
            case "file":
                client.log_artifact(run_id, self._file(record), record["folder"] or None)
            case "folder":
                client.log_artifacts(run_id, self._file(record))
            case "dataset":
                self._dataset(record)
            case "note":
                self._note(record["words"], record["outputs"])
            case "end":
                client.set_terminated(run_id, record["status"], record["time"])
                for run in self._runs():  # a server that was slow to answer may have made two
                    if run.info.run_id != run_id:
                        client.delete_run(run.info.run_id)

    def _file(self, record: dict) -> str:
        return str(self.spool.folder / record["file"])

    def _dataset(self, record: dict) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = record["source"]
        kept = json.dumps({"uri": source})
        dataset = Dataset(Path(source).name, record["digest"], "local", kept)
        tags = [InputTag("mlflow.data.context", record["context"])]
        self.client.log_inputs(self.run_id, [DatasetInput(dataset, tags)])

    def _note(self, words: str, outputs: dict[str, str]) -> None:
        """The run's description: the words, then links to the runs that made these outputs."""
        lines = [words, "", "Runs behind this report:"]
        for stage, content in outputs.items():
            run = find_maker(self.client, self.experiment, content)
            if run is None:
                lines.append(f"- {stage}: not found")
                continue
            page = f"#/experiments/{self.experiment}/runs/{run.info.run_id}"
            lines.append(f"- {stage}: [{run.info.run_name}]({page})")
        self.client.set_tag(self.run_id, "mlflow.note.content", "\n".join(lines))


def deliver(delivery: Delivery, records: list[dict]) -> list[str]:
    """Sends records; returns a line for each that the store will never take."""
    from mlflow.exceptions import MlflowException

    try:
        delivery.send(records)
    except (MlflowException, FileNotFoundError) as error:
        if isinstance(error, MlflowException) and error.error_code not in REJECTED:
            raise
        if len(records) == 1:
            return [f"MLflow refused {records[0]['op']}: {error}"]
        return [fault for record in records for fault in deliver(delivery, [record])]
    return []


def batches(records: list[tuple[int, dict]]) -> Iterator[list[tuple[int, dict]]]:
    """Metrics together, as many as MLflow takes at once; every other record alone."""
    batch, count = [], 0
    for end, record in records:
        size = len(record["values"]) if record["op"] == "metrics" else METRICS_AT_ONCE
        if batch and count + size > METRICS_AT_ONCE:
            yield batch
            batch, count = [], 0
        batch.append((end, record))
        count += size
    if batch:
        yield batch


def send(spool: Spool, progress: Callable[[], None] = lambda: None) -> list[str]:
    """Sends all that waits in a spool, and calls `progress` after each answer of the store.

    Returns a line for each record that the store will never take. Raises Timeout while another
    process sends the same spool, and whatever the store raises when it does not answer.
    """
    if not spool.waiting():
        return []
    with spool.sending.acquire(timeout=SERVER_PATIENCE):
        delivery, refused = Delivery(spool), []
        progress()
        while waiting := spool.waiting():
            for batch in batches(waiting):
                refused += deliver(delivery, [record for _, record in batch])
                spool.mark_sent(batch[-1][0])
                progress()
        if spool.has_ended():
            spool.tidy()
    return refused


def send_ended(
    store: str | None = None, progress: Callable[[], None] = lambda: None
) -> tuple[list[str], Exception | None]:
    """Sends what waits of runs that have ended, the oldest first; also returns the last fault.

    All stores that runs were made for, or one. One that did not answer is not asked again.
    """
    refused, fault, silent = [], None, set()
    for spool in ended(store):
        if spool.waiting() and (store := spool.first()["store"]) not in silent:
            try:
                refused += send(spool, progress)
            except Exception as error:
                fault = error
                silent.add(store)
    prune()
    return refused, fault


def ended(store: str | None = None) -> list[Spool]:
    """Those of runs that have ended, of one store or all: a living process sends its own."""
    found = [spool for spool in spools() if spool.bury()]
    return [spool for spool in found if store is None or spool.first()["store"] == store]


def records_waiting(store: str | None = None) -> int:
    return sum(len(spool.waiting()) for spool in ended(store))


def reason(fault: Exception) -> str:
    """A fault of the store in a few words."""
    line = (str(fault) or repr(fault)).splitlines()[0]
    return re.sub(r"API request to (\S+?)/api/\S* failed .*", r"\1 does not answer", line)[:150]


class Sender(threading.Thread):
    """Sends a run's spool while the run goes on, and at its start what earlier runs left."""

    def __init__(self, spool: Spool):
        super().__init__(daemon=True, name="sender")
        self.spool = spool
        is_file = not store_uri() or store_uri().startswith("sqlite")
        self.patience = FILE_PATIENCE if is_file else SERVER_PATIENCE
        self.refused: list[str] = []
        self.fault: Exception | None = None
        self._closing = threading.Event()
        self._tried = threading.Event()
        self._asked = float("inf")  # when the store was last asked; never, while MLflow is imported

    def run(self) -> None:
        import mlflow  # noqa: F401  not a part of the time that the store may take

        self._progress()
        is_started = False
        while True:
            is_last = self._closing.is_set()
            try:
                if not is_started:
                    Delivery(self.spool)  # the run itself first: somebody may wait for its id
                    is_started = True
                    self._progress()
                    self._tried.set()
                    self.refused += send_ended(store_uri(), self._progress)[0]
                self.refused += send(self.spool, self._progress)
                self.fault = None
            except Exception as error:
                self.fault = error
            self._tried.set()
            if is_last:
                return
            self._closing.wait(RETRY if self.fault else PAUSE)

    def run_id(self) -> str | None:
        """MLflow's id of the run; None where the store does not answer soon."""
        self._restart_clock()
        while not self._tried.wait(0.02) and not self._is_overdue():
            pass
        return self.spool.run_id

    def finish(self) -> None:
        """Sends the rest; gives up when the store has not answered for `patience` seconds."""
        self._closing.set()
        self._restart_clock()
        while self.is_alive() and not self._is_overdue():
            self.join(0.02)

    def _progress(self) -> None:
        self._asked = time.monotonic()

    def _restart_clock(self) -> None:
        self._asked = max(self._asked, time.monotonic())

    def _is_overdue(self) -> bool:
        return time.monotonic() - self._asked > self.patience
