"""Scores of two folders of pictures, of any origin."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from maskgit.scoring.distances import Distance, frechet, kernel_distance
from maskgit.scoring.features import Extractor
from maskgit.scoring.intervals import mean_interval, summarise, with_ends
from maskgit.scoring.pixel_errors import l1, psnr, ssim
from maskgit.scoring.scores import FRECHET, KERNEL
from pipeline.commands.photos import pictures_in
from pipeline.plumbing.errors import UserError

LOSSY = (".jpg", ".jpeg", ".webp")
SMALLEST = 11  # pixels a side: the window of SSIM
PIXEL_ERRORS = {"psnr": psnr, "ssim": ssim, "l1": l1}


def read_picture(path: Path) -> np.ndarray:
    """uint8 (H, W, 3), read as pytorch-fid does: no EXIF turn, transparency dropped."""
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} cannot be read as a picture: {error}") from None


def folder_pictures(folder: Path) -> list[Path]:
    """Its pictures, by name. Raises UserError where there are fewer than two."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder")
    found = pictures_in(folder)
    if len(found) < 2:
        raise UserError(f"{folder}: one picture is no set; a distance needs two or more")
    return found


def same_shape_runs(paths: list[Path]) -> Iterator[np.ndarray]:
    """The pictures in order, as uint8 (n, H, W, 3) for each run of up to 64 of one size."""
    for start in range(0, len(paths), 64):
        pictures = map(read_picture, paths[start : start + 64])
        for _, run in groupby(pictures, key=np.shape):
            yield np.stack(list(run))


def folder_features(paths: list[Path], extractor: Extractor) -> np.ndarray:
    """(N, D), in the order of `paths`; the pictures may differ in size."""
    with tqdm(total=len(paths), desc=f"features of {paths[0].parent}", unit="picture") as bar:
        runs = same_shape_runs(paths)
        return np.concatenate([extractor(run, progress=bar.update) for run in runs])


def compare_folders(a: Path, b: Path, extractor: Extractor) -> dict[str, float]:
    """The record of two folders: their counts, and scores with `_low` and `_high`.

    Folders with the same names are pairs: an interval then comes from resampling pairs, and where
    the two pictures of each are of one size, PSNR, SSIM and L1 of whole pictures are there too.
    Raises UserError.
    """
    paths_a, paths_b = folder_pictures(a), folder_pictures(b)
    paired = [path.stem for path in paths_a] == [path.stem for path in paths_b]
    features_a, features_b = (folder_features(paths, extractor) for paths in (paths_a, paths_b))
    distances = {
        FRECHET.column(extractor).name: frechet(features_a, features_b),
        KERNEL.column(extractor).name: kernel_distance(features_a, features_b, paired),
    }
    if paired:
        columns = {name: distance.by_pair() for name, distance in distances.items()}
        scores = summarise(columns | pair_errors(paths_a, paths_b))
    else:
        scores = summarise_unpaired(distances)
    return {"n_a": len(paths_a), "n_b": len(paths_b), "paired": paired} | scores


def summarise_unpaired(distances: dict[str, Distance]) -> dict[str, float]:
    """As `summarise`, each set resampled on its own."""
    scores = {}
    for name, distance in distances.items():
        low, high = mean_interval(distance.value + distance.influence_a, distance.influence_b)
        scores |= dict(zip(with_ends(name), (distance.value, low, high), strict=True))
    return scores


def pair_errors(paths_a: list[Path], paths_b: list[Path]) -> dict[str, np.ndarray]:
    """`psnr`, `ssim` and `l1` of whole pictures, (N,) each; none where sizes do not allow it."""
    rows = []
    for pair in tqdm(list(zip(paths_a, paths_b, strict=True)), "errors", unit="pair"):
        first, second = map(read_picture, pair)
        if first.shape != second.shape or min(first.shape[:2]) < SMALLEST:
            return {}
        everywhere = np.ones((1, *first.shape[:2]), dtype=bool)
        pixels = first[None], second[None], everywhere
        rows.append([error(*pixels) for error in PIXEL_ERRORS.values()])
    return dict(zip(PIXEL_ERRORS, map(np.concatenate, zip(*rows, strict=True)), strict=True))
