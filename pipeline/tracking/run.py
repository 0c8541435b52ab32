"""The log of a run in MLflow: what stages call."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
from PIL import Image

from pipeline.plumbing.files import PREPARED, content_hash
from pipeline.tracking.delivery import Sender
from pipeline.tracking.spool import Spool

if TYPE_CHECKING:
    import pandas as pd

DIGEST = 36  # characters, the most that MLflow takes
THUMBNAIL = 256  # pixels, the larger side of what MLflow's grid of images shows


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

    def log_dataset(self, source: str, context: str) -> None:
        """The prepared images, for the column Dataset of MLflow's table.

        source: where they came from, as in params.yaml; context: what they are used for.
        """
        digest = content_hash(PREPARED)[:DIGEST]
        self._spool.append("dataset", source=source, digest=digest, context=context)

    def set_note(self, words: str, outputs: Mapping[str, Path]) -> None:
        """The description on the run's page: words, then links to what made these outputs.

        The runs behind them, by stage, are looked up by content when this is sent, so that they
        can wait for MLflow, too.
        """
        contents = {stage: content_hash(path) for stage, path in outputs.items()}
        self._spool.append("note", words=words, outputs=contents)
