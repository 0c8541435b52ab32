"""Records each stage as an MLflow run: one run for each entry of dvc.lock.

Files are the truth and MLflow mirrors them: no run id is written into a stage's outputs, and
MLflow's failures never stop a stage. What a run logs goes to a spool on the local disk, and from
there to the store of the real project, also from temporary copies of experiments.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
from filelock import Timeout
from PIL import Image

from maskgit import ranks
from pipeline.plumbing.entry import REPORT, changed, entry_hash, flat, git, shown_params
from pipeline.plumbing.hashing import content_hash
from pipeline.plumbing.params import Params
from pipeline.plumbing.places import PREPARED
from pipeline.tracking.delivery import Sender, reason, runs_waiting
from pipeline.tracking.outputs import log_outputs
from pipeline.tracking.spool import Spool, spool_folder
from pipeline.tracking.store import EXPERIMENT, OUTPUT_TAG, STAGES, store_uri
from pipeline.tracking.system_metrics import system_metrics

if TYPE_CHECKING:
    import pandas as pd

DATA_TAG = "data_sha256"  # of data/prepared, the images of all later stages
DIGEST = 36  # characters, the most that MLflow takes
THUMBNAIL = 256  # pixels, the larger side of what MLflow's grid of images shows


class StageRun:
    """The log of a stage; no method waits for MLflow.

    run_id: MLflow's id of the run once it is over; None where MLflow does not hold it completely.
    """

    run_id: str | None = None

    def __init__(self, spool: Spool):
        self.key, self._spool = spool.key, spool
        self._tables: list[dict[str, str]] = []

    def log_metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Logs metrics; a value that the run already has for this step stays as it is."""
        numbers = {name: float(value) for name, value in values.items()}
        self._spool.append("metrics", values=numbers, step=step)

    def log_artifact(self, path: Path, folder: str = "") -> None:
        """Logs a file into the artifacts' `folder`, or a folder's content into the artifacts."""
        copy = shutil.copytree if path.is_dir() else shutil.copyfile
        self._spool.append_file(path.name, lambda target: copy(path, target), folder)

    def log_table(self, table: pd.DataFrame, name: str) -> None:
        """Logs a table for MLflow's UI, named *.json, complete; mlflow.log_table would append."""
        write: Callable = lambda copy: table.to_json(copy, orient="split", index=False)  # noqa: E731
        self._spool.append_file(name, write)
        entry = {"path": name, "type": "table"}
        self._tables = [*(other for other in self._tables if other != entry), entry]
        self.set_tags({"mlflow.loggedArtifacts": json.dumps(self._tables)})

    def log_image(self, image: np.ndarray, key: str, step: int) -> None:
        """Logs an image of a series, uint8 (H, W, 3), for the UI's grid of images by step.

        The UI finds images by the names that mlflow.log_image gives them. `key` has no slash.
        """
        picture, small = Image.fromarray(image), Image.fromarray(image)
        small.thumbnail((THUMBNAIL, THUMBNAIL))
        name = f"{key}+step+{step}+timestamp+{int(time.time() * 1000)}+{uuid4()}"
        self._spool.append_file(f"{name}.png", picture.save, "images")
        self._spool.append_file(f"{name}+compressed.webp", small.save, "images")
        self.set_tags({"mlflow.loggedImages": "True"})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Sets tags of the run."""
        self._spool.append("tags", values=dict(tags))

    def set_entry(self, sha256: str) -> None:
        """Sets the hash of the run's entry in dvc.lock.

        If a finished run has the same entry, what is logged after this is not sent.
        """
        self._spool.append("entry", sha256=sha256)

    def log_dataset(self, source: str, context: str) -> None:
        """Logs the prepared images, for the column Dataset of MLflow's table.

        source: where they came from, as in params.yaml; context: what they are used for.
        """
        digest = content_hash(PREPARED)[:DIGEST]
        self._spool.append("dataset", source=source, digest=digest, context=context)

    def set_note(self, words: str, outputs: Mapping[str, str]) -> None:
        """Sets the description on the run's page: words, then links to the runs behind it.

        outputs: by stage, the content hash of the output whose run is linked.
        """
        self._spool.append("note", words=words, outputs=dict(outputs))


class SilentRun:
    """A run that logs nothing, for all ranks but the first, which logs for all."""

    key = run_id = None

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **kwargs: None


def open_spool(key: str | None) -> Spool:
    """Opens the spool of a run, a new one without a key.

    Where another process holds the run that should be continued, this one begins a new run.
    """
    spool = Spool(key or uuid4().hex)
    try:
        spool.open(patience=1)
    except Timeout:
        print("another process continues the same MLflow run; this one begins a new run")
        return open_spool(None)
    return spool


@contextmanager
def stage_run(
    stage: str,
    params: Params | Mapping[str, object],
    output: Path,
    item: str = "",
    key: str | None = None,
) -> Iterator[StageRun | SilentRun]:
    """Makes an MLflow run around a stage's work, and completes it from the stage's files.

    params: all parameters, of which those that dvc.yaml names for the stage are logged, or the
    values to log. output: the file or folder that is made and hashed. key: continues the run with
    this key. An exception ends the run as FAILED, a stop as KILLED.
    """
    if ranks.rank():
        yield SilentRun()
        return
    values = shown_params(stage, params) if isinstance(params, Params) else flat(params)
    commit = git("rev-parse", "--verify", "HEAD").strip() or "unknown"
    name = changed() if stage == REPORT else f"{stage}@{item}" if item else stage
    tags = {
        "stage": stage,
        "git_commit": commit,
        "mlflow.source.type": "LOCAL",  # these three are the column Source of MLflow's table
        "mlflow.source.name": f"pipeline.stages.{stage}",
        "mlflow.source.git.commit": commit,
        "dvc_experiment": os.environ.get("DVC_EXP_NAME", ""),
        "host": socket.gethostname(),
    }
    if PREPARED.is_dir():
        tags[DATA_TAG] = content_hash(PREPARED)
    spool = open_spool(key)
    if not spool.records():
        where = EXPERIMENT if stage == REPORT else STAGES
        spool.append("create", name=name, store=store_uri(), experiment=where)
    spool.append("tags", values=tags)
    spool.append("params", values=values)
    sender = Sender(spool)
    sender.start()
    status = "FAILED"  # until the work is done
    run = StageRun(spool)
    try:
        with system_metrics(run):
            yield run
        status = "FINISHED"
        complete(run, stage, item, params, values, output)
    except (KeyboardInterrupt, SystemExit):  # Ctrl-C, SIGTERM
        status = "KILLED"
        raise
    finally:
        spool.append("end", status=status)
        run.run_id = sender.finish()
        spool.close()
        say_what_waits(sender)


def complete(
    run: StageRun,
    stage: str,
    item: str,
    params: Params | Mapping[str, object],
    values: Mapping[str, object],
    output: Path,
) -> None:
    """Logs what follows from a finished stage's files; prints a line where something failed."""
    try:
        made = content_hash(output)
        run.set_tags({OUTPUT_TAG: made} | ({DATA_TAG: made} if output == PREPARED else {}))
        run.set_entry(entry_hash(stage, item, values, output))
        if isinstance(params, Params):
            log_outputs(run, stage, item, params)
    except Exception as error:  # no fault of the log fails a stage that has done its work
        print(f"MLflow will miss a part of this run: {error!r}")


def say_what_waits(sender: Sender) -> None:
    """Prints the records that were refused, and how many runs wait to be sent."""
    for line in sender.refused:
        print(line)
    if waiting := runs_waiting(store_uri()):
        why = reason(sender.fault) if sender.fault else "no answer in time"
        print(
            f"MLflow: {waiting} runs wait in {spool_folder()}; the next stage sends them, or "
            f"'maskgit reconcile' ({why})"
        )
