"""MLflow: one run a stage execution, in the store of the real project.

Files are the truth and MLflow mirrors them: no run id is ever written into a stage's outputs.
A run is tagged with the content hash of what it made, and is found again by that hash. A run never
dies of its tracker: all that it logs goes to a spool on the local disk, and from there to MLflow.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from filelock import Timeout
from pydantic import BaseModel

from maskgit import ranks
from pipeline.plumbing.files import PREPARED, content_hash
from pipeline.tracking.delivery import Sender, reason, records_waiting
from pipeline.tracking.run import StageRun
from pipeline.tracking.spool import Spool, spool_folder
from pipeline.tracking.store import OUTPUT_TAG, store_uri
from pipeline.tracking.system_metrics import system_metrics

DATA_TAG = "data_sha256"  # of data/prepared, the images that everything rests on


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


class Unheard:
    """The spool of all ranks but the first: what they log would be there twice."""

    key = None

    def records(self) -> list:
        return []

    def append(self, *record, **content) -> None: ...

    def append_file(self, *record, **content) -> None: ...


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
    if ranks.rank():
        yield StageRun(Unheard(), Unheard())
        return
    values = params.model_dump() if isinstance(params, BaseModel) else params
    experiment = os.environ.get("DVC_EXP_NAME", "")
    name = " ".join(filter(None, [f"{stage}@{item}" if item else stage, experiment]))
    commit = git_commit()
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
