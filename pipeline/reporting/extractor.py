"""The networks that score, as params.yaml or a command asks for them; faults in plain words."""

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
    """See `choose_extractor`; a relative path of weights is meant from the project's root.

    named: what gave the weights, for a fault in them (UserError).
    """
    path = None if weights is None else str(project_root() / weights)
    try:
        extractor = choose_extractor(kind, path)
    except (ValueError, OSError) as error:
        raise UserError(f"{named}: {error}") from None
    print(f"{FRECHET.column(extractor).name}: {extractor.source}")
    return extractor


def load_lpips(alexnet: str | None) -> nn.Module | None:
    """`lpips_network`, if `score.lpips` gives its weights, a path from the project's root."""
    if alexnet is None:
        return None
    try:
        return lpips_network(project_root() / alexnet)
    except (ValueError, OSError) as error:
        raise UserError(f"score.lpips: {error}") from None
