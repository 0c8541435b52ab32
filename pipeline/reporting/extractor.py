"""Loads the networks of the scores; faults are a UserError."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from torch import nn

from maskgit.scoring.features import FALLBACK, Extractor, choose_extractor
from maskgit.scoring.lpips_network import lpips_network
from maskgit.scoring.scores import FRECHET
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import load_array
from pipeline.plumbing.hashing import verify_checksum
from pipeline.plumbing.places import REFERENCE, project_root

EXTRACTOR = REFERENCE / "extractor.txt"  # the judges, a name a line; the first decides
FEATURES = REFERENCE / "features"  # of the true images, a file for each judge


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


def load_extractors(kinds: Iterable[str], weights: str | Path | None) -> list[Extractor]:
    """Loads several extractors, each network once. Raises UserError."""
    found = [load_extractor(kind, weights) for kind in kinds]
    return list({extractor.name: extractor for extractor in found}.values())


def load_reference_extractors(weights: str | Path | None) -> list[Extractor]:
    """Loads the extractors that stage reference used, so that all is compared by the same ones.

    `auto` might choose another one by now. Raises UserError.
    """
    verify_checksum(EXTRACTOR)
    kinds = EXTRACTOR.read_text(encoding="utf-8").split()
    try:
        return load_extractors(kinds, weights)
    except UserError as error:
        raise UserError(
            f"{EXTRACTOR} names {', '.join(kinds)}, which cannot be loaded here ({error}); give "
            f"its weights, or set score.extractor to {FALLBACK} and run 'dvc repro'"
        ) from None


def load_judges(weights: str | Path | None) -> list[tuple[np.ndarray, Extractor]]:
    """Loads the true images' features, (N, D), with their extractor, for each that reference used.

    Raises UserError.
    """
    return [
        (load_array(FEATURES / f"{extractor.name}.npy"), extractor)
        for extractor in load_reference_extractors(weights)
    ]


def load_lpips(alexnet: str | None) -> nn.Module | None:
    """Loads `lpips_network` by the path `score.lpips`; None without a path. Raises UserError."""
    if alexnet is None:
        return None
    try:
        return lpips_network(project_root() / alexnet)
    except (ValueError, OSError) as error:
        raise UserError(f"score.lpips: {error}") from None
