"""Adds each report's model to MLflow's registry as a version; an alias names the best one.

The alias is a champion's. There is a champion for each set of test images and extractor, so that a
model of one's own photos is never compared with one of the built-in cats.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
import numpy as np
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.models.model import ModelInfo
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

from maskgit.inpainting.settings import Decoding
from maskgit.scoring.verdicts import FEWEST, favoured, simultaneous_intervals
from pipeline.plumbing.hashing import content_hash
from pipeline.plumbing.params import Params
from pipeline.plumbing.places import MODEL_FOLDER, PREPARED, project_root

if TYPE_CHECKING:
    from maskgit.scoring.score import Better, Column

NAME = "maskgit-inpainting"
IMAGE_SCORES = "headline_images.json"  # of the report's run: what a later model is held against
SERVED = Path(__file__).with_name("served.py")  # the code that MLflow runs; not imported here
DESCRIPTION = (
    "Fills holes in pictures. A version for each report; for each set of test images an alias "
    "`champion-...`, which moves only to a version that is shown to be better, image by image."
)
# What the model's code imports, in the installed versions. MLflow's own search for it is slow.
REQUIREMENTS = (
    "mlflow",
    "numpy",
    "opencv-python-headless",
    "pandas",
    "pillow",
    "pydantic",
    "safetensors",
    "scipy",
    "tifffile",
    "torch",
)


@dataclass(frozen=True)
class Standing:
    """The test images and the score of a version, kept as its tags."""

    score: float  # the mean over images
    extractor: str  # the score's column, which names the extractor
    better: Better
    n: int
    test_set_sha256: str  # of the true images and their holes

    @property
    def alias(self) -> str:
        """The alias of the champion among all versions that were scored alike."""
        return f"champion-{self.test_set_sha256[:8]}-{self.extractor}"


def beats(new: np.ndarray, old: np.ndarray, better: Better) -> tuple[bool, str]:
    """Returns whether a model is better than the champion, and the comparison in words.

    new, old: scores of the same images, (N,) each. better: which values of the score are better. A
    model is better if the whole interval of the mean difference is on that side of zero. Fewer than
    FEWEST images give no verdict.
    """
    if new.shape != old.shape:
        return False, f"it was scored on {len(old)} images, this one on {len(new)}"
    if len(new) < FEWEST:
        return False, f"verdicts need {FEWEST} images, and there are {len(new)}"
    found = simultaneous_intervals((new - old)[:, None])
    low, high = found.low[0], found.high[0]
    words = f"{(new - old).mean():.3g} [{low:.3g}, {high:.3g}] against it, on the same images"
    return bool(favoured(low, high, better) > 0), words


def signature(decoding: Decoding) -> ModelSignature:
    """Returns the types of the served model.

    The default of the seed is the model's own. The others are empty or 0 where a request leaves
    them out, since a schedule or iterations ask for samples, the model's own ones too.
    """
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, name) for name in ("image", "mask")]),
        outputs=Schema([ColSpec(DataType.string, name) for name in ("image", "filled", "notes")]),
        params=ParamSchema(
            [
                ParamSpec("gamma", DataType.string, ""),
                ParamSpec("iterations", DataType.long, 0),
                ParamSpec("reading", DataType.string, ""),
                ParamSpec("seed", DataType.long, decoding.seed),
            ]
        ),
    )


def log_model(run_id: str, params: Params) -> ModelInfo:
    """Logs the inpainter as an MLflow model of the run: the library's code and the model folder."""
    return Model.log(
        artifact_path=None,
        name="inpainter",
        flavor=mlflow.pyfunc,
        flavor_name="pyfunc",
        run_id=run_id,
        python_model=str(SERVED),
        code_paths=[str(SERVED.parents[2] / "maskgit")],
        artifacts={"model": str(MODEL_FOLDER)},
        signature=signature(params.decoding),
        pip_requirements=[f"{name}=={version(name).split('+')[0]}" for name in REQUIREMENTS],
    )


def hash_of_test_set(split: str) -> str:
    """Returns the sha256, in hex, over the split's true images and their holes."""
    files = [PREPARED / f"{split}.npy", PREPARED / f"{split}_holes.npy"]
    return hashlib.sha256("".join(map(content_hash, files)).encode()).hexdigest()


def register(run_id: str | None, params: Params, score: Column, by_image: np.ndarray) -> str:
    """Adds the report's model to the registry; returns a line on what became of the champion.

    score: the column of the score that decides. by_image: the headline's, (N,). A fault of the
    store becomes the line.
    """
    if run_id is None:
        return f"{NAME}: not registered, MLflow's store does not answer"
    test_set = hash_of_test_set(params.inpaint.split)
    mean, better = float(by_image.mean()), score.score.better
    standing = Standing(mean, score.name, better, len(by_image), test_set)
    choices = params.decoding.model_dump(include={"gamma", "iterations", "reading"})
    tags = asdict(standing) | choices | {"split": params.inpaint.split}
    try:
        with FileLock(project_root() / "mlflow.db.lock"):  # reports decide one after the other
            client = MlflowClient()
            found = client.search_model_versions(f"run_id = '{run_id}'")
            new = found[0] if found else add_version(client, run_id, params, tags)
            return decide(client, new, standing, by_image)
    except (MlflowException, OSError) as error:
        return f"{NAME}: not registered, {str(error).splitlines()[0]}"


def add_version(client: MlflowClient, run_id: str, params: Params, tags: dict) -> ModelVersion:
    """Logs the report's model and adds it as a version."""
    model = log_model(run_id, params)
    try:
        client.create_registered_model(NAME, description=DESCRIPTION)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    text = {key: str(value) for key, value in tags.items()}
    return client.create_model_version(NAME, model.model_uri, run_id, text, model_id=model.model_id)


def decide(
    client: MlflowClient, new: ModelVersion, standing: Standing, by_image: np.ndarray
) -> str:
    """Moves the alias to a version if it is better; returns a line that says so.

    Of a report that is repeated the version is there already. A fault of the store may have left it
    without a decision, so it is made again.
    """
    client.log_dict(new.run_id, {standing.extractor: by_image.tolist()}, IMAGE_SCORES)
    old = champion(client, standing)
    if old is not None and old.version == new.version:
        return f"{NAME}: version {new.version} stands for the same report"
    better, why = (
        (True, "it is the first") if old is None else held_against(old, standing, by_image)
    )
    if better:
        client.set_registered_model_alias(NAME, standing.alias, new.version)
        return f"{NAME}: version {new.version} is {standing.alias}: {why}"
    return f"{NAME}: version {new.version} is no champion, version {old.version} stays: {why}"


def champion(client: MlflowClient, standing: Standing) -> ModelVersion | None:
    """Returns the version that has the alias, None without one."""
    number = client.get_registered_model(NAME).aliases.get(standing.alias)
    return client.get_model_version(NAME, number) if number else None


def held_against(old: ModelVersion, standing: Standing, by_image: np.ndarray) -> tuple[bool, str]:
    """Compares a version with the scores that the old version's report left with its run."""
    try:
        kept = mlflow.artifacts.load_dict(f"runs:/{old.run_id}/{IMAGE_SCORES}")
        scores = np.array(kept[standing.extractor], dtype=float)
    except (MlflowException, OSError, ValueError, KeyError, TypeError):
        return False, "its scores of single images are gone"
    return beats(by_image, scores, standing.better)
