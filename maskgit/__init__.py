"""MaskGIT inpainting: models, schedules, masking, decoding and scoring, as a plain library.

Chang et al., "MaskGIT: Masked Generative Image Transformer", CVPR 2022, arXiv 2202.04200.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from maskgit import extensions  # noqa: F401

if TYPE_CHECKING:
    from maskgit.filling import Fill

__all__ = ["load"]


def load(folder: "str | Path") -> "Fill":
    """Loads a trained model that fills holes, see `maskgit.filling`. Imports torch when called."""
    from maskgit.filling import load as load_model

    return load_model(folder)
