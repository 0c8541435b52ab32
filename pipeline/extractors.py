"""The feature extractor that params.yaml asks for, its faults in plain words."""

from maskgit.features import Extractor, choose_extractor
from pipeline.errors import UserError
from pipeline.files import project_root
from pipeline.params import Score


def load_extractor(score: Score) -> Extractor:
    weights = None if score.weights is None else str(project_root() / score.weights)
    try:
        extractor = choose_extractor(score.extractor, weights)
    except (ValueError, OSError) as error:
        raise UserError(f"score.weights: {error}") from None
    print(f"{extractor.name}: {extractor.source}")
    return extractor
