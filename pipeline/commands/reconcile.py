"""dvc.lock beside MLflow: which run made what lies here, stage by stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import content_hash
from pipeline.tracking.delivery import reason, records_waiting, send_ended
from pipeline.tracking.store import find_maker, open_store

if TYPE_CHECKING:
    from dvc.stage import PipelineStage
    from mlflow.entities import Run


HEADER = ["stage", "run", "id", "started", "status", ""]


@dataclass
class Made:
    """A stage of dvc.lock: what became of its outputs since, and the run that made what is here."""

    stage: str
    changes: list[str]
    run: Run | None

    def columns(self) -> list[str]:
        info = self.run.info if self.run else None
        started = datetime.fromtimestamp(info.start_time / 1000) if info else None
        return [
            self.stage,
            info.run_name if info else "-",
            info.run_id[:8] if info else "-",
            f"{started:%Y-%m-%d %H:%M}" if started else "-",
            info.status.lower() if info else "MISSING",
            ", ".join(self.changes),
        ]


def send_spools() -> list[str]:
    """Sends what waits; returns a line for each record that was refused, one for what waits on."""
    refused, fault = send_ended()
    if fault:
        refused.append(f"MLflow: {records_waiting()} records still wait ({reason(fault)})")
    return refused


def ledger() -> list[Made]:
    """A row for each stage of dvc.lock, in the order of the pipeline. Raises UserError."""
    from mlflow.exceptions import MlflowException

    stages = list(locked_stages())
    try:
        client, experiment = open_store()
        result = []
        for stage in stages:
            changes, run = [], None
            for out in stage.outs:
                changes += [f"{path} is {what}" for path, what in out.workspace_status().items()]
                if run is None and out.exists:
                    run = find_maker(client, experiment, content_hash(Path(out.fs_path)))
            result.append(Made(stage.addressing, changes, run))
        return result
    except MlflowException as error:
        raise UserError(f"MLflow cannot say: {reason(error)}") from None


def locked_stages() -> Iterator[PipelineStage]:
    """The stages of dvc.yaml that dvc.lock knows and that are recorded, each item of a matrix."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    if not Path("dvc.lock").is_file():
        raise UserError("dvc.lock does not exist; run 'dvc repro' to make it")
    try:
        with Repo() as repo:
            for stage in repo.index.stages:
                if any(out.hash_info for out in stage.outs) and not stage.always_changed:
                    yield stage
    except DvcException as error:
        raise UserError(f"dvc.lock cannot be read: {error}") from None
