"""Temporary copies of the project, in which `dvc exp run --temp` and queues run an experiment."""

from pathlib import Path

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.places import project_root


def in_a_copy() -> bool:
    """Returns whether this stage runs in a temporary copy of the project."""
    return Path.cwd().resolve() != project_root().resolve()


def check_results_are_kept() -> None:
    """Raises UserError in a copy, for a stage whose results DVC does not cache."""
    if in_a_copy():
        raise UserError(
            "DVC would lose these results with this temporary copy; run 'dvc repro' without "
            "--queue and --temp"
        )
