"""Compares dvc.lock with MLflow: for each stage the run that made its outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.plumbing.entry import entry_hash, outputs, shown_params
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.hashing import content_hash
from pipeline.plumbing.params import Params, load_params
from pipeline.tracking.delivery import asking_mlflow, reason, runs_waiting, send_ended
from pipeline.tracking.stage import stage_run
from pipeline.tracking.store import ENTRY_TAG, Store, open_store

if TYPE_CHECKING:
    from dvc.stage import PipelineStage
    from mlflow.entities import Run


HEADER = ["stage", "run", "id", "started", "status", ""]


@dataclass
class Made:
    """A stage of dvc.lock, and the run that made its outputs.

    Attributes:
        stage: its name in dvc.lock.
        changes: how its files differ from dvc.lock, a line each.
        run: the run that made the outputs; None where MLflow has none.
    """

    stage: str
    changes: list[str]
    run: Run | None

    def columns(self) -> list[str]:
        """Returns the row of the printed table."""
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
    """Sends the spools that wait.

    Returns a line for each record that was refused, and one for the runs that still wait.
    """
    refused, fault = send_ended()
    if fault:
        refused.append(f"MLflow: {runs_waiting()} runs still wait ({reason(fault)})")
    return refused


def ledger() -> list[Made]:
    """Returns a row for each stage of dvc.lock, in the order of the pipeline. Raises UserError.

    A stage without a run, whose files are as dvc.lock says, gets a run made from its files.
    """
    locked, params, entries = list(locked_stages()), load_params(), outputs()
    with asking_mlflow():
        store = open_store()
        return [made(store, params, entries, stage) for stage in locked]


def made(store: Store, params: Params, entries: dict, locked: PipelineStage) -> Made:
    """Finds the run of a stage, or makes it from the stage's files where they are unchanged.

    entries: of the pipelines, see `outputs`.
    """
    files = [*locked.outs, *locked.deps]
    changes = []
    for file in files:
        for path, status in file.workspace_status().items():
            # The status of a file with parameters says what became of each parameter.
            each = status if isinstance(status, dict) else {path: status}
            changes += [f"{name} is {became}" for name, became in each.items()]
    stage, item, output = entries.get(locked.addressing, (None, "", None))
    if stage is None or not output.exists():
        return Made(locked.addressing, changes, None)
    entry = entry_hash(stage, item, shown_params(stage, params), output)
    outs = [content_hash(Path(out.fs_path)) for out in locked.outs if out.exists]
    run = find(store, entry, outs, bool(changes))
    if run is None and not changes:
        with stage_run(stage, params, output, item):
            pass  # the work is done: the run is completed from the files
        run = find(store, entry, [], False)
    return Made(locked.addressing, changes, run)


def find(store: Store, entry: str, outs: list[str], by_content: bool) -> Run | None:
    """Returns the finished run of an entry, else the newest that made one of the outputs `outs`.

    outs: content hashes. A run that is found by an output counts only if files have changed since
    (`by_content`), or if a version made it that kept no entries.
    """
    for run in store.runs(f"tags.{ENTRY_TAG} = '{entry}' and status = 'FINISHED'"):
        return run
    makers = [run for run in map(store.find_maker, outs) if run]
    return next((run for run in makers if by_content or ENTRY_TAG not in run.data.tags), None)


def locked_stages() -> Iterator[PipelineStage]:
    """Yields the recorded stages that dvc.lock has, each item of a matrix by itself."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    if not Path("dvc.lock").is_file():
        raise UserError("dvc.lock does not exist; run 'dvc repro' to make it")
    try:
        with Repo() as repo:
            for stage in repo.index.stages:
                has_run = (
                    stage.cmd and not stage.always_changed
                )  # files of `dvc add` have no command
                if has_run and any(out.hash_info for out in stage.outs):
                    yield stage
    except DvcException as error:
        raise UserError(f"dvc.lock cannot be read: {error}") from None
