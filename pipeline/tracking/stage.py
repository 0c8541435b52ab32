"""MLflow: one run for each entry of dvc.lock, in the store of the real project.

Files are the truth and MLflow mirrors them: no run id is ever written into a stage's outputs, and
MLflow's failures never stop a stage. What a run logs goes to a spool on the local disk, and from
there to MLflow.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
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
from pipeline.plumbing.entry import REPORT, changed, entry_hash, flat, shown_params
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

DATA_TAG = "data_sha256"  # of data/prepared, the images that everything rests on
DIGEST = 36  # characters, the most that MLflow takes
THUMBNAIL = 256  # pixels, the larger side of what MLflow's grid of images shows


class StageRun:
    """What stages call to log; nothing here waits for MLflow.

    run_id: MLflow's id of the run once it is over; None where MLflow does not hold it whole.
    """

    run_id: str | None = None

    def __init__(self, spool: Spool):
        self.key, self._spool = spool.key, spool
        self._tables: list[dict[str, str]] = []

    def log_metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """What the run has for this step already is left as it is."""
        numbers = {name: float(value) for name, value in values.items()}
        self._spool.append("metrics", values=numbers, step=step)

    def log_artifact(self, path: Path, folder: str = "") -> None:
        """A file, in the artifacts' `folder`, or all that lies in a folder, at their top."""
        copy = shutil.copytree if path.is_dir() else shutil.copyfile
        self._spool.append_file(path.name, lambda target: copy(path, target), folder)

    def log_table(self, table: pd.DataFrame, name: str) -> None:
        """A table for MLflow's UI, named *.json; written whole, where mlflow.log_table appends."""
        write: Callable = lambda copy: table.to_json(copy, orient="split", index=False)  # noqa: E731
        self._spool.append_file(name, write)
        entry = {"path": name, "type": "table"}
        self._tables = [*(other for other in self._tables if other != entry), entry]
        self.set_tags({"mlflow.loggedArtifacts": json.dumps(self._tables)})

    def log_image(self, image: np.ndarray, key: str, step: int) -> None:
        """An image of a series, uint8 (H, W, 3), for the grid of images by step in MLflow's UI.

        The grid knows them by the names that mlflow.log_image gives them; `key` without a slash.
        """
        picture, small = Image.fromarray(image), Image.fromarray(image)
        small.thumbnail((THUMBNAIL, THUMBNAIL))
        name = f"{key}+step+{step}+timestamp+{int(time.time() * 1000)}+{uuid4()}"
        self._spool.append_file(f"{name}.png", picture.save, "images")
        self._spool.append_file(f"{name}+compressed.webp", small.save, "images")
        self.set_tags({"mlflow.loggedImages": "True"})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self._spool.append("tags", values=dict(tags))

    def set_entry(self, sha256: str) -> None:
        """What makes the run the same as another; what is logged from here on is not sent twice."""
        self._spool.append("entry", sha256=sha256)

    def log_dataset(self, source: str, context: str) -> None:
        """The prepared images, for the column Dataset of MLflow's table.

        source: where they came from, as in params.yaml; context: what they are used for.
        """
        digest = content_hash(PREPARED)[:DIGEST]
        self._spool.append("dataset", source=source, digest=digest, context=context)

    def set_note(self, words: str, outputs: Mapping[str, str]) -> None:
        """The description on the run's page: words, then links to what made outputs with these
        content hashes, by stage."""
        self._spool.append("note", words=words, outputs=dict(outputs))


class SilentRun:
    """The log of all ranks but the first: what they log would be there twice."""

    key = run_id = None

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **kwargs: None


def git_commit() -> str:
    try:
        answer = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, encoding="utf-8")
    except OSError:
        return "unknown"
    return answer.stdout.strip() or "unknown"


def open_spool(key: str | None) -> Spool:
    """A run's own; a new one where another process has the run that should be continued."""
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
    """An MLflow run around a stage's work, completed from its files when they are done.

    params: all, of which dvc.yaml says what the stage depends on, or these values. output: what is
    made, hashed when it is done. `key` continues the run that has it. An exception ends the run as
    FAILED, a stop as KILLED.
    """
    if ranks.rank():
        yield SilentRun()
        return
    values = shown_params(stage, params) if isinstance(params, Params) else flat(params)
    experiment, commit = os.environ.get("DVC_EXP_NAME", ""), git_commit()
    name = changed() if stage == REPORT else f"{stage}@{item}" if item else stage
    tags = {
        "stage": stage,
        "git_commit": commit,
        "mlflow.source.type": "LOCAL",  # these three are the column Source of MLflow's table
        "mlflow.source.name": f"pipeline.stages.{stage}",
        "mlflow.source.git.commit": commit,
        "dvc_experiment": experiment,
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
    """Adds what follows from the files of a finished stage; a line says what it could not."""
    try:
        made = content_hash(output)
        run.set_tags({OUTPUT_TAG: made} | ({DATA_TAG: made} if output == PREPARED else {}))
        run.set_entry(entry_hash(stage, item, values, output))
        if isinstance(params, Params):
            log_outputs(run, stage, item, params)
    except Exception as error:  # of whatever kind: the stage has done its work
        print(f"MLflow will miss a part of this run: {error!r}")


def say_what_waits(sender: Sender) -> None:
    for line in sender.refused:
        print(line)
    if waiting := runs_waiting(store_uri()):
        why = reason(sender.fault) if sender.fault else "no answer in time"
        print(
            f"MLflow: {waiting} runs wait in {spool_folder()}; the next stage sends them, or "
            f"'maskgit reconcile' ({why})"
        )
