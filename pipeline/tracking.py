"""MLflow: one run a stage execution, in the store of the real project.

Files are the truth and MLflow mirrors them: no run id is ever written into a stage's outputs.
A run is tagged with the content hash of what it made, and is found again by that hash. A run never
dies of its tracker: all that it logs goes to a spool on the local disk, and from there to MLflow.
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
from pydantic import BaseModel
from tqdm import tqdm

from pipeline.files import PREPARED, content_hash
from pipeline.spool import Spool, spool_folder
from pipeline.store import OUTPUT_TAG, Sender, reason, records_waiting, store_uri
from pipeline.system_metrics import system_metrics

if TYPE_CHECKING:
    import pandas as pd

DATA_TAG = "data_sha256"  # of data/prepared, the images that everything rests on
THUMBNAIL = 256  # pixels, the larger side of what MLflow's grid of images shows


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
    """The log of one run; nothing here waits for MLflow but `run_id`."""

    def __init__(self, spool: Spool, sender: Sender):
        self.key, self._spool, self._sender = spool.key, spool, sender
        self._tables: list[dict[str, str]] = []
        self._logged = {
            (name, record["step"])
            for _, record in spool.records()
            if record["op"] == "metrics"
            for name in record["values"]
        }

    def run_id(self) -> str | None:
        """MLflow's id of the run; None where its store does not answer soon."""
        return self._sender.run_id()

    def log_metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Of a run that is continued, what it has for this step already is left as it is."""
        new = {
            name: float(value)
            for name, value in values.items()
            if step is None or (name, step) not in self._logged
        }
        if new:
            self._logged |= {(name, step) for name in new}
            self._spool.append("metrics", values=new, step=step or 0)

    def next_step(self, prefix: str) -> int:
        """The one after the last step of the metrics whose names begin so."""
        return max((step for name, step in self._logged if name.startswith(prefix)), default=-1) + 1

    def log_artifact(self, path: Path, folder: str = "") -> None:
        self._log_file(path.name, lambda copy: shutil.copyfile(path, copy), folder)

    def log_artifacts(self, folder: Path) -> None:
        """All that lies in a folder, at the top of the run's artifacts."""
        self._spool.append_file("folder", folder.name, lambda copy: shutil.copytree(folder, copy))

    def log_table(self, table: pd.DataFrame, name: str) -> None:
        """A table for MLflow's UI, named *.json; written whole, where mlflow.log_table appends."""
        self._log_file(name, lambda copy: table.to_json(copy, orient="split", index=False))
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
        self._log_file(f"{name}.png", picture.save, "images")
        self._log_file(f"{name}+compressed.webp", small.save, "images")
        self.set_tags({"mlflow.loggedImages": "True"})

    def _log_file(self, name: str, fill: Callable[[Path], object], folder: str = "") -> None:
        self._spool.append_file("file", name, fill, folder=folder)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self._spool.append("tags", values=dict(tags))

    def set_note(self, markdown: str) -> None:
        """The description on the run's page."""
        self.set_tags({"mlflow.note.content": markdown})

    def link_makers(self, outputs: Mapping[str, Path]) -> None:
        """Tags and a note that lead to the runs that made these outputs, by stage.

        They are looked up by content when this is sent, so that they can wait for MLflow, too.
        """
        contents = {stage: content_hash(path) for stage, path in outputs.items()}
        self._spool.append("makers", outputs=contents)


def open_spool(key: str | None) -> Spool:
    """A run's own; a new one where another process has the run that should be continued."""
    if key is not None:
        try:
            spool = Spool(spool_folder() / key)
            spool.open()
            return spool
        except Timeout:
            print("another process continues the same MLflow run; this one begins a new run")
    spool = Spool(spool_folder() / uuid4().hex)
    spool.open()
    return spool


@contextmanager
def stage_run(
    stage: str,
    params: Mapping[str, object] | BaseModel,
    output: Path,
    item: str = "",
    key: str | None = None,
) -> Iterator[StageRun]:
    """An MLflow run around a stage's work; `output` is what it makes, hashed when it is done.

    `key` continues the run that has it. An exception ends the run as FAILED, a stop as KILLED.
    """
    values = params.model_dump() if isinstance(params, BaseModel) else params
    experiment = os.environ.get("DVC_EXP_NAME", "")
    name = " ".join(filter(None, [f"{stage}@{item}" if item else stage, experiment]))
    tags = {
        "stage": stage,
        "git_commit": git_commit(),
        "dvc_experiment": experiment,
        "host": socket.gethostname(),
    }
    if PREPARED.is_dir():
        tags[DATA_TAG] = content_hash(PREPARED)
    spool = open_spool(key)
    if not spool.records():
        spool.append("create", name=name, store=store_uri())
    if spool.key == key:
        spool.append("continue")
    spool.append("tags", values=tags)
    spool.append("params", values=flat(values))
    sender = Sender(spool)
    sender.start()
    status = "FAILED"  # until the work is done
    try:
        run = StageRun(spool, sender)
        with system_metrics(run):
            yield run
        made = content_hash(output)
        run.set_tags({OUTPUT_TAG: made} | ({DATA_TAG: made} if output == PREPARED else {}))
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit):  # Ctrl-C, SIGTERM
        status = "KILLED"
        raise
    finally:
        spool.append("end", status=status)
        sender.finish()
        spool.close()
        say_what_waits(sender)


def say_what_waits(sender: Sender) -> None:
    for line in sender.refused:
        print(line)
    if waiting := records_waiting(store_uri()):
        why = reason(sender.fault) if sender.fault else "no answer in time"
        print(
            f"MLflow: {waiting} records wait in {spool_folder()}; the next stage sends them, or "
            f"'maskgit reconcile' ({why})"
        )


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
