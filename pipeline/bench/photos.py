"""Benchmarks typical repairs on a photo of 12 megapixels: dust, a scratch, writing, an object.

The photo is a mosaic of drawn cats that no model was trained on, so that fills can be compared with
the true pixels and with Telea's.
"""

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from maskgit.data.cats.cat import draw_cat
from maskgit.filling import Fill
from maskgit.inpainting.windows import plan_windows
from maskgit.scoring.baselines import BASELINES
from pipeline.models.fill import load_fill
from pipeline.plumbing.files import fresh_folder
from pipeline.plumbing.places import REPORTS
from pipeline.reporting.pictures import labelled_rows, save_picture
from pipeline.reporting.text import aligned
from pipeline.tracking.stage import stage_run

FOLDER = REPORTS / "photos"
TILE, ROWS, COLUMNS = 64, 47, 63  # 4032 x 3008 pixels
CATS, FIRST_SEED = 300, 10**6  # a seed that no data set of this project uses
AROUND = 96  # pixels on each side of the middle of the hole in the pictures


def mosaic() -> np.ndarray:
    """Draws the photo, uint8 (3008, 4032, 3)."""
    cats = [draw_cat(np.random.default_rng([FIRST_SEED, i]), TILE) for i in range(CATS)]
    order = np.random.default_rng(0).integers(CATS, size=(ROWS, COLUMNS))
    return np.vstack([np.hstack([cats[i] for i in row]) for row in order])


def spots(hole: np.ndarray, places: np.ndarray, size: int) -> None:
    """Adds squares of `size` pixels to a hole, in place."""
    for row, column in places:
        hole[row : row + size, column : column + size] = True


def sixty(hole: np.ndarray) -> None:
    """Adds sixty disks at random places to a hole, in place."""
    places = np.random.default_rng(1).integers([100, 100], [2900, 3900], size=(60, 2))
    for row, column in places.tolist():
        disk(hole, row, column, 4)


def disk(hole: np.ndarray, row: int, column: int, radius: int) -> None:
    """Adds a disk to a hole, in place."""
    rows, columns = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    area = hole[row - radius : row + radius + 1, column - radius : column + radius + 1]
    area |= rows**2 + columns**2 <= (radius + 0.5) ** 2


def scratch(hole: np.ndarray) -> None:
    """Adds a diagonal scratch to a hole, in place."""
    drawn = np.zeros(hole.shape, dtype=np.uint8)
    cv2.line(drawn, (150, 400), (3900, 2600), 1, 3)
    hole |= drawn > 0


def caption(hole: np.ndarray) -> None:
    """Adds writing to a hole, in place."""
    drawn = np.zeros(hole.shape, dtype=np.uint8)
    cv2.putText(drawn, "my holidays", (2600, 2800), cv2.FONT_HERSHEY_SIMPLEX, 4, 1, 8)
    hole |= drawn > 0


CASES: dict[str, Callable[[np.ndarray], None]] = {
    "a spot of 6 pixels": lambda hole: spots(hole, np.array([[1500, 2000]]), 6),
    "two of them, 300 apart": lambda hole: spots(hole, np.array([[1500, 2000], [1500, 2300]]), 6),
    "sixty of 9": sixty,
    "a scratch, 3 wide": scratch,
    "a caption": caption,
    "an object, 300 x 300": lambda hole: spots(hole, np.array([[1300, 1900]]), 300),
}


def error(filled: np.ndarray, truth: np.ndarray, hole: np.ndarray) -> float:
    """Returns the mean absolute error in the hole, in grey levels."""
    return float(np.abs(filled[hole].astype(float) - truth[hole]).mean())


def peak_megabytes() -> float:
    """Returns the peak resident memory of this process so far, in megabytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def one_case(
    name: str, fill: Fill, photo: np.ndarray
) -> tuple[dict[str, object], dict[str, np.ndarray]]:
    """Fills one hole; returns a row of the table, and pictures around the hole by name."""
    hole = np.zeros(photo.shape[:2], dtype=bool)
    CASES[name](hole)
    damaged = np.where(hole[..., None], np.uint8(255), photo)
    started = time.perf_counter()
    filled = fill(damaged, hole)
    seconds = time.perf_counter() - started
    telea = BASELINES["telea"](damaged, hole)
    sides = [window.side for window in plan_windows(hole, fill.config.trained_on.size)]
    rows, columns = np.nonzero(hole)
    middle = rows[len(rows) // 2], columns[len(rows) // 2]
    around = tuple(slice(max(0, place - AROUND), place + AROUND) for place in middle)
    views = {"damaged": damaged, "Telea's": telea, "filled": filled, "true": photo}
    figures = {
        "hole": name,
        "windows": len(sides),
        "sides": f"{min(sides)}" if len(set(sides)) == 1 else f"{min(sides)}-{max(sides)}",
        "seconds": seconds,
        "peak_mb": peak_megabytes(),
        "error": error(filled, photo, hole),
        "telea": error(telea, photo, hole),
    }
    return figures, {name: view[around].copy() for name, view in views.items()}


def run_photos(model: Path) -> None:
    """Writes a table and a picture of all cases into reports/photos/."""
    with stage_run("bench photos", {"model": str(model)}, FOLDER) as run:
        fill, photo = load_fill(model), mosaic()
        with fresh_folder(FOLDER) as folder:
            cases = tqdm(CASES, "photos", unit="hole")
            figures, views = zip(*[one_case(name, fill, photo) for name in cases], strict=True)
            rows = {name: [view[name] for view in views] for name in views[0]}
            save_picture(folder / "photos.png", labelled_rows(rows))
            table = pd.DataFrame(figures)
            table["ratio"] = table["error"] / table["telea"]
            table.to_csv(folder / "photos.csv", index=False)
        run.log_artifact(FOLDER)
    cells = [
        [f"{value:.3g}" if isinstance(value, float) else str(value) for value in row]
        for row in table.itertuples(index=False)
    ]
    print(aligned([list(table.columns), *cells]))
    print(f"\nWhat it looks like: {FOLDER}/photos.png")
