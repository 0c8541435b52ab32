"""Loads the networks of the scores; faults are a UserError."""

from pathlib import Path

from torch import nn

from maskgit.scoring.features import Extractor, choose_extractor
from maskgit.scoring.lpips_network import lpips_network
from maskgit.scoring.scores import FRECHET
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.hashing import verify_checksum
from pipeline.plumbing.places import REFERENCE, project_root

EXTRACTOR = REFERENCE / "extractor.txt"  # the kind whose features of the true images lie beside it


def load_extractor(
    kind: str, weights: str | Path | None, named: str = "score.weights"
) -> Extractor:
    """Loads an extractor as `choose_extractor`; relative paths are from the project's root.

    named: the setting that gave the weights, for the message. Raises UserError.
    """
    path = None if weights is None else str(project_root() / weights)
    try:
        extractor = choose_extractor(kind, path)
    except (ValueError, OSError) as error:
        raise UserError(f"{named}: {error}") from None
    print(f"{FRECHET.column(extractor).name}: {extractor.source}")
    return extractor


def load_reference_extractor(weights: str | Path | None) -> Extractor:
    """Loads the extractor that stage reference used, so that fills are compared on its features.

    `auto` might choose another one by now. Raises UserError.
    """
    verify_checksum(EXTRACTOR)
    kind = EXTRACTOR.read_text(encoding="utf-8").strip()
    try:
        return load_extractor(kind, weights)
    except UserError as error:
        raise UserError(
            f"{EXTRACTOR} names {kind}, which cannot be loaded here ({error}); give its weights, "
            "or set score.extractor to efficientnet_lite0 and run 'dvc repro'"
        ) from None


def load_lpips(alexnet: str | None) -> nn.Module | None:
    """Loads `lpips_network` by the path `score.lpips`; None without a path. Raises UserError."""
    if alexnet is None:
        return None
    try:
        return lpips_network(project_root() / alexnet)
    except (ValueError, OSError) as error:
        raise UserError(f"score.lpips: {error}") from None
