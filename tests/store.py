"""A project's folder with an MLflow store of its own, for tests that share it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.tracking.store import open_store


@contextmanager
def project_with_store(folder: Path) -> Iterator[Path]:
    """Works in `folder`, whose store is made: that takes longer than a stage waits for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        open_store()
        yield folder
