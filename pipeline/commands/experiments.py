"""The experiments in MLflow's store, as its UI lists them: a row for each report."""

import os
from collections.abc import Sequence

from mlflow.entities import Run

from maskgit.scoring.intervals import with_ends
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.places import project_root
from pipeline.reporting.text import score_cells
from pipeline.tracking.store import open_store


def report_runs(last: int | None) -> list[Run]:
    """Finished reports, the newest first; at most `last`. Raises UserError where there is none."""
    store = project_root() / "mlflow.db"
    if "MLFLOW_TRACKING_URI" not in os.environ and not store.exists():
        raise UserError(f"{store} does not exist; run 'dvc repro' to make it")
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
        raise UserError("no report in MLflow's store; run 'dvc repro'")
    return found[:last]


def differing(runs: Sequence[Run]) -> list[str]:
    """The parameters in which the runs differ, by name."""
    names = sorted({name for run in runs for name in run.data.params})
    return [name for name in names if len({run.data.params.get(name) for run in runs}) > 1]


def headline(run: Run) -> dict[str, str]:
    """Each score of the headline with its interval, as text; bounds of scores are left out."""
    metrics = {name.removeprefix("interval/"): value for name, value in run.data.metrics.items()}
    names = [name for name in metrics if "/" not in name and set(with_ends(name)) <= metrics.keys()]
    return dict(zip(names, score_cells(metrics, names), strict=True))


def comparison(runs: Sequence[Run]) -> list[list[str]]:
    """A header and a row for each run: name, gamma, what differs, scores."""
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
