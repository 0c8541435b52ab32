"""Paths of the project's files."""

import os
from pathlib import Path

SOURCES = Path("data/sources")
PREPARED = Path("data/prepared")
TOKENS = Path("data/tokens")
TOKENIZER = Path("outputs/vqgan")
TRANSFORMER = Path("outputs/transformer")
MODEL_FOLDER = Path(
    "outputs/model"
)  # these, with MEAN_DECODER, and how they fill holes: see maskgit.model_folder
WEIGHTS = Path("weights")  # the model folder that is shipped with the project
MEAN_DECODER = Path("outputs/mean_decoder")
INPAINTED = Path("outputs/inpaint")
REFERENCE = Path("outputs/reference")
REPORTS = Path("reports")
SCORES = REPORTS / "scores"
IMAGE_SCORES = Path("outputs/scores")
STUDY = Path("outputs/study")
FEED_FORWARD = Path("outputs/feed_forward/model")
FEED_FORWARD_FILLS = Path("outputs/feed_forward/fills")

MODEL = "model.safetensors"  # in TOKENIZER, TRANSFORMER, MEAN_DECODER and FEED_FORWARD
UNCERTAINTY = "uncertainty.csv"  # in TRANSFORMER, for schedule `entropic`
TRAINED_ON = "trained_on.json"  # in TRANSFORMER, where it was not trained here
STEPS_CSV = "steps.csv"  # beside filled images: how many steps each took
HOLES_CSV = "holes.csv"  # in PREPARED: kind and area of the holes to fill
MASKS_CSV = "masks.csv"  # in PREPARED: the mask files that `data.holes` names, with their splits
FILLS = "fills"  # in REFERENCE: other tools' fills (score.others), a folder for each
OTHERS_CSV = "others.csv"  # in REFERENCE: how these tools changed known pixels
IMAGES_CSV = "images.csv"  # scores image by image, in REFERENCE and in IMAGE_SCORES / SCHEDULE


def project_root() -> Path:
    """Returns the root of the project, even in temporary copies of `dvc exp run --temp` and queues.

    Files that git does not track are found there: the user's own files, MLflow's store.
    """
    return Path(os.environ.get("DVC_ROOT") or Path.cwd())


def has_mean_decoder() -> bool:
    """Returns whether the pipeline's models have a decoder of mean codes."""
    return (MEAN_DECODER / MODEL).exists()


def results_folder(variant: int = 0) -> str:
    """Returns the folder of a method's filled images; variant 0 has the lab's name."""
    return f"test_results_{variant + 1}" if variant else "test_results"
