"""Lists the experiments in MLflow's store as its UI does: a row for each report."""

from collections.abc import Sequence
from pathlib import Path

from mlflow.entities import Run

from maskgit.scoring.columns import with_ends
from pipeline.plumbing.entry import REPORT
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.yaml_files import read_yaml
from pipeline.reporting.text import score_cells
from pipeline.tracking.delivery import asking_mlflow
from pipeline.tracking.store import database_file, open_store, own_store, store_uri


def report_runs(last: int | None) -> list[Run]:
    """Returns the finished reports, newest first, at most `last` of them.

    Raises UserError where there is none.
    """
    database = database_file(store_uri() or own_store())
    if database and not database.exists():
        raise UserError(f"{database} does not exist; {remedy()}")
    with asking_mlflow():
        opened = open_store()
        found, token = [], None
        while last is None or len(found) < last:
            page = opened.client.search_runs(
                [opened.reports],
                "tags.stage = 'report' and status = 'FINISHED'",
                order_by=["start_time DESC"],
                page_token=token,
            )
            found, token = [*found, *page], page.token
            if not token:
                break
    if not found:
        raise UserError(f"no report in MLflow's store; {remedy()}")
    return found[:last]


def remedy() -> str:
    """Returns what to run where no report is recorded. DVC runs no stage whose files it has."""
    lock = Path("dvc.lock")
    if lock.is_file() and REPORT in read_yaml(lock).get("stages", {}):
        return "'maskgit reconcile' makes the runs from the files of dvc.lock"
    return "run 'dvc repro' to make one"


def differing(runs: Sequence[Run]) -> list[str]:
    """Returns the names of the parameters in which the runs differ."""
    names = sorted({name for run in runs for name in run.data.params})
    return [name for name in names if len({run.data.params.get(name) for run in runs}) > 1]


def headline(run: Run) -> dict[str, str]:
    """Returns each score of the headline with its interval, as text; bounds are left out."""
    metrics = {name.removeprefix("interval/"): value for name, value in run.data.metrics.items()}
    names = [name for name in metrics if "/" not in name and set(with_ends(name)) <= metrics.keys()]
    return dict(zip(names, score_cells(metrics, names), strict=True))


def comparison(runs: Sequence[Run]) -> list[list[str]]:
    """Returns a header and a row for each run: name, gamma, parameters that differ, scores."""
    params = ["gamma", *(name for name in differing(runs) if name != "gamma")]
    scores = [headline(run) for run in runs]
    names = sorted({name for row in scores for name in row})
    rows = [
        [
            run.info.run_name,
            *(run.data.params.get(name, "") for name in params),
            run.data.tags.get("n", ""),
            *(row.get(name, "") for name in names),
        ]
        for run, row in zip(runs, scores, strict=True)
    ]
    return [["name", *params, "n", *names], *rows]
