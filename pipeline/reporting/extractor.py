"""Loads the networks of the scores; faults are a UserError."""

from pathlib import Path

from torch import nn

from maskgit.scoring.features import Extractor, choose_extractor
from maskgit.scoring.lpips_network import lpips_network
from maskgit.scoring.scores import FRECHET
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import project_root


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


def load_lpips(alexnet: str | None) -> nn.Module | None:
    """Loads `lpips_network` by the path `score.lpips`; None without a path. Raises UserError."""
    if alexnet is None:
        return None
    try:
        return lpips_network(project_root() / alexnet)
    except (ValueError, OSError) as error:
        raise UserError(f"score.lpips: {error}") from None
