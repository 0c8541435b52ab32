"""Scores two folders of pictures from any source, read as everywhere in this project."""

import io
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from maskgit.data.image_files import FORMATS, Picture, UnusableImage, decode_picture
from maskgit.scoring.columns import with_ends
from maskgit.scoring.distances import Distance, frechet_distance, kernel_distance
from maskgit.scoring.features import Extractor
from maskgit.scoring.intervals import mean_interval, summarise
from maskgit.scoring.score import Evaluation
from maskgit.scoring.scores import FRECHET, KERNEL, L1, PSNR, SSIM, clip_bounds
from pipeline.commands.photos import passed_over, pictures_in, read_picture, same_name
from pipeline.plumbing.errors import UserError

LOSSY = (*(".jpg", ".jpeg", ".jpe", ".jfif", ".jif"), ".webp", ".avif", ".jp2")
# The endings of the files that pytorch-fid reads.
PYTORCH_FID = ("bmp", "jpg", "jpeg", "pgm", "png", "ppm", "tif", "tiff", "webp")
SMALLEST = 11  # pixels a side: the window of SSIM
NAMED = 3  # files that a warning names
# Scores of holes, which are scores of whole pictures where all pixels count as a hole.
PIXEL_ERRORS = {score.name.removesuffix("_hole"): score for score in (PSNR, SSIM, L1)}


def load(path: Path) -> Picture:
    """Reads a picture. Raises UserError."""
    try:
        return decode_picture(read_picture(path, path.parent))
    except UnusableImage as error:
        raise UserError(f"{path} cannot be read as a picture: {error}") from None


def as_pytorch_fid(path: Path) -> np.ndarray | None:
    """Reads a file as pytorch-fid does, uint8 (H, W, 3); returns None where pytorch-fid reads none.

    pytorch-fid ignores EXIF's orientation, drops alpha, and clips 16-bit grey to white.
    """
    if path.suffix[1:] not in PYTORCH_FID:
        return None
    try:
        with Image.open(io.BytesIO(path.read_bytes()), formats=FORMATS) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError):
        return None


def warnings_of(a: Path, b: Path) -> list[str]:
    """Returns warnings for comparing the scores of two folders with published ones, a line each."""
    paths_a, paths_b = folder_pictures(a), folder_pictures(b)
    return [
        *passed_over([a, b]),
        *file_warnings(paths_a + paths_b),
        *pair_warnings(paths_a, paths_b),
    ]


def file_warnings(paths: list[Path]) -> list[str]:
    """Returns the warnings of single files: lossy, or read otherwise than stored or elsewhere."""
    unlike, otherwise = [], []
    for path in paths:
        picture = load(path)
        theirs = as_pytorch_fid(path)
        if theirs is None or not np.array_equal(theirs, picture.rgb):
            unlike.append(path.name)
        otherwise += [f"{path.name} ({note})" for note in picture.notes]
    lines = []
    lossy = sum(path.suffix.lower() in LOSSY for path in paths)
    if lossy:
        lines.append(
            f"{lossy} pictures are JPEG, WebP, AVIF or JPEG 2000, "
            "whose artefacts move the distance; save PNG"
        )
    if unlike:
        lines.append(
            f"pytorch-fid reads {len(unlike)} pictures differently ({named(unlike)}): no EXIF "
            "turn, alpha dropped, 16 bits clipped, some endings not at all; save upright 8-bit RGB"
        )
    if otherwise:
        lines.append(f"read otherwise than stored: {named(otherwise)}")
    return lines


def named(names: list[str]) -> str:
    """Returns the first of the names as text, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def folder_pictures(folder: Path) -> list[Path]:
    """Returns a folder's pictures, by name. Raises UserError where there are fewer than two."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder")
    found = sorted(pictures_in(folder), key=lambda path: (same_name(path), path))
    if len(found) < 2:
        raise UserError(f"{folder}: one picture is no set; a distance needs two or more")
    return found


def same_shape_runs(paths: list[Path]) -> Iterator[np.ndarray]:
    """Yields the pictures in order, uint8 (n, H, W, 3) for each run of up to 64 of one size."""
    for start in range(0, len(paths), 64):
        pictures = (load(path).rgb for path in paths[start : start + 64])
        for _, run in groupby(pictures, key=np.shape):
            yield np.stack(list(run))


def folder_features(paths: list[Path], extractor: Extractor) -> np.ndarray:
    """Returns features, (N, D), in the order of `paths`; the pictures may differ in size."""
    with tqdm(total=len(paths), desc=f"features of {paths[0].parent}", unit="picture") as bar:
        runs = same_shape_runs(paths)
        return np.concatenate([extractor(run, progress=bar.update) for run in runs])


def compare_folders(a: Path, b: Path, extractor: Extractor) -> dict[str, float]:
    """Returns the record of two folders: their counts, and scores with `_low` and `_high`.

    Folders with the same names are pairs: an interval then comes from resampling pairs, and where
    the two pictures of each are of one size, PSNR, SSIM and L1 of whole pictures are there too.
    Raises UserError.
    """
    paths_a, paths_b = folder_pictures(a), folder_pictures(b)
    paired = are_pairs(paths_a, paths_b)
    features_a, features_b = (folder_features(paths, extractor) for paths in (paths_a, paths_b))
    distances = {
        FRECHET.column(extractor).name: frechet_distance(features_a, features_b),
        KERNEL.column(extractor).name: kernel_distance(features_a, features_b, paired),
    }
    if paired:
        columns = {name: distance.by_pair() for name, distance in distances.items()}
        scores = summarise(columns | pair_errors(paths_a, paths_b, extractor))
    else:
        scores = summarise_unpaired(distances)
    return {"n_a": len(paths_a), "n_b": len(paths_b), "paired": paired} | clip_bounds(scores)


def summarise_unpaired(distances: dict[str, Distance]) -> dict[str, float]:
    """Summarises distances as `summarise` does columns, but resamples each set on its own."""
    scores = {}
    for name, distance in distances.items():
        low, high = mean_interval(distance.value + distance.influence_a, distance.influence_b)
        scores |= dict(zip(with_ends(name), (distance.value, low, high), strict=True))
    return scores


def pair_errors(
    paths_a: list[Path], paths_b: list[Path], extractor: Extractor
) -> dict[str, np.ndarray]:
    """Returns PSNR, SSIM and L1 of whole pictures, (N,) each.

    A pair with a `fault_of_pair` has NaN. Where no pair has these scores they are left out.
    """
    rows: list[dict[str, np.ndarray]] = []
    for pair in tqdm(list(zip(paths_a, paths_b, strict=True)), "errors", unit="pair"):
        first, second = (load(path).rgb for path in pair)
        if fault_of_pair(first, second):
            rows.append({})
            continue
        everywhere, no_features = np.ones((1, *first.shape[:2]), dtype=bool), np.empty((1, 0))
        given = Evaluation([first[None]], second[None], everywhere, no_features, extractor)
        rows.append({name: score.compute(given) for name, score in PIXEL_ERRORS.items()})
    names = next((list(row) for row in rows if row), [])
    missing = np.full(1, np.nan)
    return {name: np.concatenate([row.get(name, missing) for row in rows]) for name in names}


def fault_of_pair(first: np.ndarray, second: np.ndarray) -> str:
    """Returns why two pictures, uint8 (H, W, 3), cannot be compared pixel by pixel, or ''."""
    if first.shape != second.shape:
        sizes = (f"{picture.shape[1]} x {picture.shape[0]}" for picture in (first, second))
        return "{} and {}".format(*sizes)
    smallest = min(first.shape[:2])
    return f"under {SMALLEST} pixels a side" if smallest < SMALLEST else ""


def pair_warnings(paths_a: list[Path], paths_b: list[Path]) -> list[str]:
    """Returns a line on the pairs that have no PSNR, SSIM and L1, if there are any."""
    if not are_pairs(paths_a, paths_b):
        return []
    faults = []
    for a, b in zip(paths_a, paths_b, strict=True):
        if fault := fault_of_pair(load(a).rgb, load(b).rgb):
            faults.append(f"{a.name} ({fault})")
    if not faults:
        return []
    return [
        f"{len(faults)} of {len(paths_a)} pairs have no PSNR, SSIM and L1: {named(faults)}; "
        "make the two of a pair of one size"
    ]


def are_pairs(paths_a: list[Path], paths_b: list[Path]) -> bool:
    """Returns whether both folders have the same names, so that their pictures are pairs."""
    return list(map(same_name, paths_a)) == list(map(same_name, paths_b))
