"""Draws the picture of `maskgit grid`: the results of several folders below each other."""

from pathlib import Path

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import load_task
from pipeline.plumbing.params import load_params
from pipeline.reporting.grids import draw_grid
from pipeline.reporting.pictures import save_picture


def save_grid(picture: Path, rows: list[str], count: int) -> int:
    """Draws rows given as CAPTION=FOLDER; returns how many images each has. Raises UserError."""
    wrong = [row for row in rows if "=" not in row]
    if wrong:
        raise UserError(f"{wrong[0]!r}: a row is given as CAPTION=FOLDER")
    images, holes = load_task(load_params().inpaint.split)
    folders = dict(row.split("=", 1) for row in rows)
    results = {caption: Path(folder) for caption, folder in folders.items()}
    save_picture(picture, draw_grid(images[:count], holes[:count], results))
    return min(count, len(images))
