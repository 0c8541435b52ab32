"""MaskGIT inpainting: models, schedules, masking, decoding and scoring, as a plain library.

Chang et al., "MaskGIT: Masked Generative Image Transformer", CVPR 2022, arXiv 2202.04200.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from maskgit import extensions  # noqa: F401

if TYPE_CHECKING:
    from maskgit.data.image_files import Picture
    from maskgit.filling import Fill

__all__ = ["load", "open_picture"]


def load(folder: "str | Path") -> "Fill":
    """Loads a trained model that fills holes, see `maskgit.filling`. Imports torch when called."""
    from maskgit.filling import load as load_model

    return load_model(folder)


def open_picture(path: "str | Path") -> "Picture":
    """Reads a picture or mask from its file, as `maskgit inpaint` does: upright, in full depth.

    `fill(picture, mask)` then gives such a picture, and its `save` writes a PNG file. Raises
    ValueError with one line on what the file is not.
    """
    from maskgit.data.image_files import open_picture as open_file

    return open_file(path)
