"""MLflow's registry: each report's inpainter is a version there, the best of them the champion."""

import hashlib
import math
import os
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.models.model import ModelInfo
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

from pipeline.plumbing.files import (
    DECODING,
    MODEL,
    PREPARED,
    TOKENIZER,
    TRANSFORMER,
    content_hash,
    project_root,
)
from pipeline.plumbing.params import Decoding, Params

NAME = "maskgit-inpainting"
CHAMPION = "champion"
SERVED = Path(__file__).with_name("served.py")  # what MLflow runs; nothing here needs it loaded
DESCRIPTION = (
    "Fills holes in pictures. A version for each report; the alias `champion` moves only to one "
    "whose interval lies below the old champion's, on the same test set."
)
# What the model's code imports; pinned to what is installed, for MLflow's own search is slow.
REQUIREMENTS = (
    "mlflow",
    "numpy",
    "opencv-python-headless",
    "pandas",
    "pillow",
    "pydantic",
    "pyyaml",
    "safetensors",
    "scipy",
    "torch",
)


@dataclass(frozen=True)
class Standing:
    """What decides between two models, kept as tags of their versions."""

    score: float  # a distance: lower is better
    interval_low: float  # NaN where no interval is known
    interval_high: float
    extractor: str
    n: int
    test_set_sha256: str  # of the true images and their holes

    @classmethod
    def of(cls, row: dict, distance: str, test_set: str) -> "Standing":
        """From the headline row, whose column `distance` has the score."""
        low, high = (float(row.get(f"{distance}_{end}", math.nan)) for end in ("low", "high"))
        return cls(row[distance], low, high, distance, row["n"], test_set)

    @classmethod
    def read(cls, tags: dict[str, str]) -> "Standing | None":
        """None where the version was not registered by a report."""
        kinds = cls.__annotations__
        if not kinds.keys() <= tags.keys():
            return None
        return cls(*[kind(tags[name]) for name, kind in kinds.items()])

    def __str__(self) -> str:
        return f"{self.score:.2f} ({self.interval_low:.2f} to {self.interval_high:.2f})"


def beats(new: Standing, old: Standing | None) -> tuple[bool, str]:
    """Whether the new model takes the old one's place, and why: intervals that do not overlap."""
    if old is None:
        return False, "nothing is known of that one"
    if new.test_set_sha256 != old.test_set_sha256:
        return False, "they were scored on different test sets"
    if (new.extractor, new.n) != (old.extractor, old.n):
        return False, "they were scored by different extractors or on different numbers of images"
    if math.isnan(new.interval_high) or math.isnan(old.interval_low):
        return False, "a score has no interval"
    if new.interval_high < old.interval_low:
        return True, f"{new} beats {old}"
    return False, f"{new} does not beat {old} beyond the intervals"


def signature(decoding: Decoding) -> ModelSignature:
    """Text in, text out; the report's own choices are the defaults."""
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, name) for name in ("image", "mask")]),
        outputs=Schema([ColSpec(DataType.string, "image")]),
        params=ParamSchema(
            [
                ParamSpec("gamma", DataType.string, decoding.gamma),
                ParamSpec("iterations", DataType.long, decoding.iterations),
                ParamSpec("seed", DataType.long, decoding.seed),
            ]
        ),
    )


def log_model(run_id: str, params: Params) -> ModelInfo:
    """The inpainter as an MLflow model of the run: code, two checkpoints, how to decode."""
    files = {
        "tokenizer": TOKENIZER / MODEL,
        "transformer": TRANSFORMER / MODEL,
        "decoding": DECODING,
    }
    return Model.log(
        artifact_path=None,
        name="inpainter",
        flavor=mlflow.pyfunc,
        flavor_name="pyfunc",
        run_id=run_id,
        python_model=str(SERVED),
        code_paths=[str(SERVED.parents[2] / package) for package in ("maskgit", "pipeline")],
        artifacts={name: str(path) for name, path in files.items()},
        signature=signature(params.decoding),
        pip_requirements=[f"{name}=={version(name).split('+')[0]}" for name in REQUIREMENTS],
    )


def test_set_hash(split: str) -> str:
    """sha256 of the split's true images and their holes."""
    files = [PREPARED / f"{split}.npy", PREPARED / f"{split}_holes.npy"]
    return hashlib.sha256("".join(map(content_hash, files)).encode()).hexdigest()


def champion(client: MlflowClient) -> ModelVersion | None:
    number = client.get_registered_model(NAME).aliases.get(CHAMPION)
    return client.get_model_version(NAME, number) if number else None


def register(run_id: str | None, params: Params, row: dict[str, object], distance: str) -> str:
    """Adds the report's model to the registry; returns a line on what became of the champion.

    `row` is the headline, its column `distance` the score. No fault of the store stops a report.
    """
    if run_id is None:
        return f"{NAME}: not registered, MLflow's store does not answer"
    standing = Standing.of(row, distance, test_set_hash(params.inpaint.split))
    choices = {"gamma": params.gamma, "iterations": params.report.iterations}
    tags = asdict(standing) | choices | {"split": params.inpaint.split}
    try:
        with FileLock(project_root() / "mlflow.db.lock"):  # two reports may not decide at once
            model = log_model(run_id, params)
            return add_version(MlflowClient(), model, run_id, standing, tags)
    except (MlflowException, OSError) as error:
        return f"{NAME}: not registered, {str(error).splitlines()[0]}"


def add_version(
    client: MlflowClient, model: ModelInfo, run_id: str, standing: Standing, tags: dict
) -> str:
    """Adds a version, crowns it if it deserves it, and says so."""
    try:
        client.create_registered_model(NAME, description=DESCRIPTION)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    text = {key: str(value) for key, value in tags.items()}
    new = client.create_model_version(NAME, model.model_uri, run_id, text, model_id=model.model_id)
    old = champion(client)
    better, why = beats(standing, Standing.read(old.tags)) if old else (True, "it is the first")
    if better:
        client.set_registered_model_alias(NAME, CHAMPION, new.version)
        return f"{NAME}: version {new.version} is the champion: {why}"
    return f"{NAME}: version {new.version} is no champion, version {old.version} stays: {why}"
