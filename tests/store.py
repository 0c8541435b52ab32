"""A project's folder with an MLflow store of its own, for tests that share it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from pipeline.tracking.store import make_database, open_store


@cache
def empty_database() -> bytes:
    """The file of an MLflow store without experiments; making one takes seconds."""
    with tempfile.TemporaryDirectory() as folder:
        make_database(Path(folder) / "mlflow.db")
        return (Path(folder) / "mlflow.db").read_bytes()


@contextmanager
def project_with_store(folder: Path) -> Iterator[Path]:
    """Works in `folder`, which gets a store: to make one takes longer than a stage waits for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        if not (folder / "mlflow.db").exists():
            (folder / "mlflow.db").write_bytes(empty_database())
        open_store()
        yield folder
