"""Draws the picture of `maskgit grid`: the results of several folders below each other."""

from collections import Counter
from pathlib import Path

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import check_writable, load_task
from pipeline.plumbing.params import load_params
from pipeline.reporting.grids import draw_grid
from pipeline.reporting.pictures import check_png, save_picture


def save_grid(picture: Path, rows: list[str], count: int) -> int:
    """Draws rows given as CAPTION=FOLDER; returns how many images each has. Raises UserError."""
    check_png(picture)
    check_writable([picture])
    results = named_folders(rows, "a row is given as CAPTION=FOLDER")
    images, holes = load_task(load_params().inpaint.split)
    save_picture(picture, draw_grid(images[:count], holes[:count], results))
    return min(count, len(images))


def named_folders(words: list[str], rule: str) -> dict[str, Path]:
    """Returns words NAME=FOLDER by name. Raises UserError with the rule for another word."""
    wrong = [word for word in words if "=" not in word]
    if wrong:
        raise UserError(f"{wrong[0]!r}: {rule}")
    name, count = Counter(word.partition("=")[0] for word in words).most_common(1)[0]
    if count > 1:
        raise UserError(f"{name!r} is given {count} times; name each folder differently")
    return {name: Path(folder) for name, folder in (word.split("=", 1) for word in words)}
