"""Draws a grid of true images, their holes, and a row for each method that filled them."""

from pathlib import Path

import numpy as np

from maskgit.scoring.baselines import BASELINES
from pipeline.plumbing.errors import UserError
from pipeline.reporting.pictures import HOLE_COLOUR, labelled_rows, load_picture, picture_name


def draw_grid(truth: np.ndarray, holes: np.ndarray, results: dict[str, Path]) -> np.ndarray:
    """Draws rows of true images, holes and Telea's fills, and one for each folder `test_results`.

    truth: uint8 (N, H, W, 3); holes: bool (N, H, W); results: folders by caption. Returns uint8
    (H, W, 3). Raises UserError where a picture is missing, or a caption is that of another row.
    """
    rows = {
        "true": truth,
        "hole": np.where(holes[..., None], HOLE_COLOUR, truth),
        "telea": [BASELINES["telea"](*pair) for pair in zip(truth, holes, strict=True)],
    }
    for caption, folder in results.items():
        if caption in rows:
            raise UserError(f"a row {caption!r} is there already; choose another caption")
        names = [folder / picture_name(i) for i in range(len(truth))]
        missing = [name for name in names if not name.is_file()]
        if missing:
            raise UserError(f"{missing[0]} does not exist; name a folder test_results")
        rows[caption] = [load_picture(name) for name in names]
        for name, picture in zip(names, rows[caption], strict=True):
            if picture.shape != truth.shape[1:]:
                raise UserError(f"{name} is not of the size of the test images")
    return labelled_rows(rows)
