"""Benchmarks repairs of photographs: film damage, a scratch, spots, a caption, an object.

The photographs are whole. Each is damaged here, so that fills can be compared with what was there,
and with the fills of classic methods.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from maskgit.data.holes import stretched
from maskgit.data.image_files import UnusableImage, decode_image, decode_picture
from maskgit.data.masks import marked
from maskgit.filling import Fill
from maskgit.scoring.baselines import BASELINES
from maskgit.scoring.columns import with_ends
from maskgit.scoring.intervals import summarise
from maskgit.scoring.perceptual_errors import perceptual_errors
from maskgit.scoring.pixel_errors import psnr
from maskgit.scoring.scores import clip_bounds
from pipeline.bench.photos import peak_megabytes
from pipeline.inputs.dataset import load_file, open_pictures
from pipeline.models.fill import load_fill
from pipeline.plumbing.errors import UserError, printable
from pipeline.plumbing.files import fresh_folder
from pipeline.plumbing.places import REPORTS
from pipeline.reporting.pictures import HOLE_COLOUR, labelled_rows, save_picture
from pipeline.reporting.text import aligned, with_interval
from pipeline.tracking.stage import stage_run

FOLDER = REPORTS / "repairs"
LEAST_SIDE = 128  # pixels; smaller pictures have no room for the holes
CLASSIC = "telea", "patchmatch", "biharmonic"
JUDGE, TEACHER = "efficientnet_lite2", "efficientnet_lite0"  # nothing was trained on the first
ERROR, TEACHERS = f"perceptual_{JUDGE}_hole", "perceptual_hole"
AROUND = 64  # pixels on each side of the middle of a hole in the pictures
SHOWN, WORST = 6, 5  # repairs in a picture


def scratch(rng: np.random.Generator, canvas: np.ndarray) -> None:
    """Draws a line of 3 pixels from the left edge to the right one."""
    left, right = rng.integers(canvas.shape[0], size=2).tolist()
    cv2.line(canvas, (0, left), (canvas.shape[1] - 1, right), 1, 3)


def spots(rng: np.random.Generator, canvas: np.ndarray) -> None:
    """Draws 25 disks of 9 pixels."""
    for row, column in rng.integers(5, np.subtract(canvas.shape, 5), size=(25, 2)).tolist():
        cv2.circle(canvas, (column, row), 4, 1, -1)


def caption(rng: np.random.Generator, canvas: np.ndarray) -> None:
    """Writes across half of the picture, in strokes of 3 pixels."""
    height, width = canvas.shape
    row = int(rng.integers(height // 3, height - 10))
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(canvas, "my holidays", (width // 20, row), font, width / 400, 1, 3)


def box(rng: np.random.Generator, canvas: np.ndarray) -> None:
    """Draws a box of 90 x 76 pixels."""
    row, column = rng.integers(8, np.subtract(canvas.shape, [84, 98])).tolist()
    canvas[row : row + 76, column : column + 90] = 1


DAMAGE: dict[str, Callable[[np.random.Generator, np.ndarray], None]] = {
    "scratch": scratch,
    "spots": spots,
    "caption": caption,
    "object": box,
}
FILM_DAMAGE = "film damage"  # of masks


class Repair(NamedTuple):
    """A damaged photograph, uint8 (H, W, 3), its hole, bool (H, W), and its fills by method."""

    photo: str
    damage: str
    truth: np.ndarray
    hole: np.ndarray
    fills: dict[str, np.ndarray]
    seconds: dict[str, float]

    def rows(self) -> pd.DataFrame:
        """Returns a row for each method, with its errors and seconds."""
        rows = []
        for method, output in self.fills.items():
            task = output[None], self.truth[None], self.hole[None]
            errors = {
                "psnr_hole": psnr(*task)[0],
                ERROR: perceptual_errors(*task, JUDGE)[0],
                TEACHERS: perceptual_errors(*task, TEACHER)[0],
            }
            named = {"photo": self.photo, "damage": self.damage, "method": method}
            rows.append(named | errors | {"seconds": self.seconds[method]})
        return pd.DataFrame(rows)

    def views(self) -> dict[str, np.ndarray]:
        """Returns what is around the middle of the hole: damaged, filled by each method, true."""
        side, middle = 2 * AROUND, [int(np.median(places)) for places in np.nonzero(self.hole)]
        starts = np.clip(np.subtract(middle, AROUND), 0, np.subtract(self.hole.shape, side))
        area = tuple(slice(start, start + side) for start in starts)
        damaged = np.where(self.hole[..., None], HOLE_COLOUR, self.truth)
        named = {"damaged": damaged, **self.fills, "true": self.truth}
        return {name: view[area].copy() for name, view in named.items()}  # without the photograph


def read_photos(source: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yields name and pixels, uint8 (H, W, 3), of the photographs of a folder or zip.

    Those that are damaged or too small are left out, with a line. Raises UserError where none is
    left.
    """
    count = 0
    with open_pictures(source) as entries:
        for entry in tqdm(entries, "repairs", unit="photo"):
            file = load_file(entry)
            try:
                if file.fault:
                    raise UnusableImage(file.fault)
                photo = decode_image(file.data)
            except UnusableImage as error:
                tqdm.write(printable(f"left out: {entry.file}: {error}"), file=sys.stderr)
                continue
            if min(photo.shape[:2]) < LEAST_SIDE:
                fault = f"below {LEAST_SIDE} pixels"
                tqdm.write(printable(f"left out: {entry.file}: {fault}"), file=sys.stderr)
                continue
            count += 1
            yield entry.file, photo
    if not count:
        raise UserError(f"{source}: no photograph of {LEAST_SIDE} x {LEAST_SIDE} pixels or more")


def read_masks(source: Path) -> list[np.ndarray]:
    """Returns the masks of a folder or zip, bool (h, w) each.

    Those that are damaged are left out. Raises UserError where none is left.
    """
    masks = []
    with open_pictures(source) as entries:
        for entry in entries:
            with suppress(UnusableImage):
                masks.append(marked(decode_picture(load_file(entry).data)).hole)
    if not masks:
        raise UserError(f"{source}: no mask that can be read")
    return masks


def laid_over(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Returns a mask, bool, stretched to a square of the longer side and cut to the shape."""
    return stretched(mask, (max(shape), max(shape)))[: shape[0], : shape[1]]


def damages(
    shape: tuple[int, int], number: int, masks: list[np.ndarray]
) -> Iterator[tuple[str, np.ndarray]]:
    """Yields kind and hole, bool of that shape, of all damage to photograph `number`."""
    rng = np.random.default_rng(number)
    if masks:
        yield FILM_DAMAGE, laid_over(masks[number % len(masks)], shape)
    for kind, draw in DAMAGE.items():
        canvas = np.zeros(shape, dtype=np.uint8)
        draw(rng, canvas)
        yield kind, canvas > 0


def repair(fill: Fill, photo: str, damage: str, truth: np.ndarray, hole: np.ndarray) -> Repair:
    """Fills one hole by each reading of the model, then by the classic methods."""
    damaged, fills, seconds = np.where(hole[..., None], np.uint8(0), truth), {}, {}
    for name in (*fill.readings, *CLASSIC):
        started = time.perf_counter()
        known = name in CLASSIC
        fills[name] = BASELINES[name](damaged, hole) if known else fill(damaged, hole, reading=name)
        seconds[name] = time.perf_counter() - started
    return Repair(photo, damage, truth, hole, fills, seconds)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns a row for each damage and method: means over photographs, and their intervals.

    `share` is the judge's error, as a share of that of the best classic method, and `difference` is
    by how much it is above it, on the same photographs.
    """
    scores = ["psnr_hole", ERROR, TEACHERS]
    found = []
    for damage, of_damage in rows.groupby("damage", sort=False):
        errors = of_damage.pivot(index="photo", columns="method", values=ERROR)
        best = errors[errors[list(CLASSIC)].mean().idxmin()]
        for method, part in of_damage.groupby("method", sort=False):
            columns = {name: part[name].to_numpy() for name in scores}
            means = summarise(columns | {"difference": (errors[method] - best).to_numpy()})
            row = {"damage": damage, "method": method, "n": len(part)} | means
            share = means[ERROR] / best.mean()
            found.append(row | {"share": share, "seconds": part["seconds"].mean()})
    return pd.DataFrame(found)


def summary_text(table: pd.DataFrame) -> str:
    """Returns the table as aligned text."""
    heading = ["damage", "method", "n", "PSNR (dB)", f"error ({JUDGE})", "to the best classic"]
    heading += ["share", "seconds"]
    shown, cells = ("psnr_hole", ERROR, "difference"), []
    for row in map(clip_bounds, table.to_dict("records")):
        ends = [[row[name] for name in with_ends(score)] for score in shown]
        last = f"{row['share']:.2f}", f"{row['seconds']:.2f}"
        named = row["damage"], row["method"], str(row["n"])
        cells.append([*named, *[with_interval(*each) for each in ends], *last])
    return aligned([heading, *cells])


def worst_first(rows: pd.DataFrame, reading: str) -> pd.DataFrame:
    """Returns photo and damage, the worst of a reading first, beside the best classic fill."""
    errors = rows.pivot(index=["photo", "damage"], columns="method", values=ERROR)
    shares = errors[reading] / errors[list(CLASSIC)].min(axis=1)
    return shares.sort_values(ascending=False, kind="stable").index.to_frame(index=False)


def run_repairs(model: Path, photos: Path, masks: Path | None) -> None:
    """Writes tables and pictures of all repairs into reports/repairs/."""
    settings = {"model": str(model), "photos": str(photos), "masks": str(masks or "")}
    with stage_run("bench repairs", settings, FOLDER) as run:
        fill = load_fill(model)
        drawn = read_masks(masks) if masks else []
        rows, views = [], {}
        for number, (photo, truth) in enumerate(read_photos(photos)):
            for damage, hole in damages(truth.shape[:2], number, drawn):
                if hole.any() and not hole.all():
                    repaired = repair(fill, photo, damage, truth, hole)
                    rows.append(repaired.rows())
                    views[photo, damage] = repaired.views()
        rows = pd.concat(rows, ignore_index=True)
        table = summary(rows)
        worst = worst_first(rows, fill.config.decoding.reading)[:WORST]
        with fresh_folder(FOLDER) as folder:
            rows.to_csv(folder / "photos.csv", index=False)
            table.to_csv(folder / "repairs.csv", index=False)
            for damage in table["damage"].unique():
                save_views(folder, damage, [v for (_, d), v in views.items() if d == damage])
            save_views(folder, "worst", [views[tuple(row)] for row in worst.to_numpy()])
        run.log_artifact(FOLDER)
    print(summary_text(table))
    named = printable(", ".join(f"{damage} of {photo}" for photo, damage in worst.to_numpy()))
    print(f"\nWorst beside the best classic fill: {named}.")
    print(f"Peak memory {peak_megabytes():.0f} MB. What it looks like: {FOLDER}/")


def save_views(folder: Path, name: str, views: list[dict[str, np.ndarray]]) -> None:
    """Writes a picture of the first repairs, side by side, a row for each method."""
    rows = {method: [view[method] for view in views[:SHOWN]] for method in views[0]}
    save_picture(folder / f"{name.replace(' ', '-')}.png", labelled_rows(rows))
