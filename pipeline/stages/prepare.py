"""Stage prepare: images from a source -> splits as arrays, holes, a manifest."""

from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from maskgit.data.cats.cat import draw_cat
from maskgit.data.copies import Selection, find_copies
from maskgit.data.crops import random_crops
from maskgit.data.holes import draw_holes
from maskgit.data.splits import SPLITS, assign_splits
from pipeline.inputs.dataset import SourceImage, count_source, read_lab_masks, read_source
from pipeline.plumbing.errors import UserError, plain_errors, printable
from pipeline.plumbing.files import (
    HOLES_CSV,
    PREPARED,
    fresh_folder,
    new_array,
    project_root,
    save_array,
)
from pipeline.plumbing.params import Data, load_params
from pipeline.reporting.pictures import HOLE_COLOUR, grid, save_masks, save_picture
from pipeline.tracking.stage import stage_run

TRAINING_HOLES = 4096  # for any number of images; more would not look any different
LARGE = 4  # times the size: what windows of drawn cats are cut from
BLOCK = 1024  # images copied at a time


def draw_source(count: int, size: int, crops: int, seed: int) -> Iterable[SourceImage]:
    """The built-in data set: cat faces drawn by our own code, each from the seed and its number."""
    for i in range(count):
        pixels = draw_cat(np.random.default_rng([seed, i]), size)
        rng = np.random.default_rng([seed, i])
        windows = random_crops(draw_cat(rng, LARGE * size), crops, size, rng) if crops else None
        digest = sha256(pixels.tobytes()).hexdigest()
        yield SourceImage(f"cat_{i:05d}", digest, pixels, windows, "", "")


class Source(NamedTuple):
    """What was read: the pixels on disk, all else in memory."""

    images: list[SourceImage]  # without pixels; test images first where the source has splits
    rows: np.ndarray  # int (N,), where the pixels of each are:
    pixels: np.ndarray  # uint8 (N, size, size, 3), undefined where an image is unusable
    crops: np.ndarray  # uint8 (N, crops, size, size, 3), likewise

    def save(self, path: Path, members: np.ndarray, with_crops: bool) -> None:
        """Writes the pixels of these images, then the crops of each."""
        rows, crops = self.rows[members], self.crops.shape[1] if with_crops else 0
        count, shape = len(rows), self.pixels.shape[1:]
        out = new_array(path, np.uint8, (count * (1 + crops), *shape))
        for start in range(0, count, BLOCK):
            block = rows[start : start + BLOCK]
            out[start : start + len(block)] = self.pixels[block]
            if crops:
                first = count + start * crops
                out[first : first + len(block) * crops] = self.crops[block].reshape(-1, *shape)
        out.flush()


def load_source(data: Data, seed: int, folder: Path) -> Source:
    """Every file of the source, usable or not; pixels go into arrays in the folder at once."""
    if data.source == "synthetic":
        images, total = draw_source(data.count, data.size, data.crops, seed), data.count
    else:
        source = project_root() / data.source
        images = read_source(source, data.size, data.fit, data.min_side, data.crops, seed)
        total = count_source(source)
    shape = data.size, data.size, 3
    pixels = new_array(folder / "pixels.npy", np.uint8, (total, *shape))
    crops = new_array(folder / "crops.npy", np.uint8, (total, data.crops, *shape))
    read = []
    for image in tqdm(images, "read images", total, unit="image"):
        if image.pixels is not None:
            pixels[len(read)] = image.pixels
            if data.crops:
                crops[len(read)] = image.crops
        read.append(replace(image, pixels=None, crops=None))
    # of a group of copies the first is kept: let that be the one in the test split
    rows = sorted(range(total), key=lambda i: ("test", "val", "train", "").index(read[i].split))
    return Source([read[i] for i in rows], np.array(rows), pixels, crops)


def shown(file: str) -> str:
    """A name that does no harm in a terminal (control characters) or a spreadsheet (formulas)."""
    return printable(f"./{file}" if file.startswith(("=", "+", "-", "@")) else file)


def make_manifest(source: Source, data: Data, seed: int) -> pd.DataFrame:
    """A row for each file: its split, or the reason why it was left out."""
    images = source.images
    manifest = pd.DataFrame(
        {
            "file": [shown(image.file) for image in images],
            "split": [image.split for image in images],
            "sha256": [image.sha256 for image in images],
            "duplicate_of": "",
            "reason": [image.reason for image in images],
        }
    )
    usable = np.flatnonzero(manifest["reason"] == "")
    if len(usable) == 0:
        raise UserError(f"{data.source}: none of its {len(images)} files is a usable image")
    pictures = Selection(source.pixels, source.rows[usable])
    copies = find_copies(pictures, manifest["sha256"].iloc[usable].tolist())
    repeats = copies.original != np.arange(len(usable))
    rows, originals = usable[repeats], usable[copies.original[repeats]]
    manifest.loc[rows, "duplicate_of"] = manifest.loc[originals, "file"].to_numpy()
    manifest.loc[rows, "reason"] = np.where(copies.exact[repeats], "exact copy", "near copy")

    kept = manifest["reason"] == ""
    if not manifest.loc[kept, "split"].all():
        try:
            splits = assign_splits(manifest["sha256"][kept], data.validation, data.test, seed)
        except ValueError as error:
            raise UserError(f"{data.source}: {error}; add images or change data.test") from None
        manifest.loc[kept, "split"] = splits
    manifest.loc[~kept, "split"] = ""
    for split in SPLITS:
        if not (manifest["split"] == split).any():
            raise UserError(f"{data.source}: no usable image is left for the {split} split")
    return manifest


def given_holes(data: Data, images: list[SourceImage], tests: np.ndarray) -> np.ndarray | None:
    """The lab's own masks for its test images; None where the source has none."""
    source = project_root() / data.source
    masks = None if data.source == "synthetic" else read_lab_masks(source, data.size)
    if masks is None:
        return None
    given = sum(image.split == "test" for image in images)  # test images come first in `images`
    if len(masks) != given:
        raise UserError(f"{data.source}: {len(masks)} masks in mask64 for {given} test images")
    return masks[tests]


def hole_table(split: str, holes: np.ndarray, kinds: list[str]) -> pd.DataFrame:
    """The kind and the area of each hole; holes: bool (N, H, W), of the kinds in turn."""
    kind = [kinds[i % len(kinds)] for i in range(len(holes))]
    areas = holes.mean(axis=(1, 2))
    return pd.DataFrame({"split": split, "image": range(len(holes)), "kind": kind, "area": areas})


def main() -> None:
    params = load_params()
    data, seed = params.data, params.seed
    with stage_run("prepare", {"data": data.model_dump(), "seed": seed}, PREPARED) as run:
        with fresh_folder(PREPARED) as folder, TemporaryDirectory(dir=folder) as unsorted:
            source = load_source(data, seed, Path(unsorted))
            manifest = make_manifest(source, data, seed)
            members = {split: np.flatnonzero(manifest["split"] == split) for split in SPLITS}
            how = data.holes, data.hole_area, data.size
            holes = {
                "train": draw_holes(TRAINING_HOLES, *how, seed + 1),
                "val": draw_holes(len(members["val"]), *how, seed + 2),
                "test": draw_holes(len(members["test"]), *how, seed),
            }
            given = given_holes(data, source.images, members["test"])
            if given is not None:
                holes["test"] = given
            tables = [
                hole_table("val", holes["val"], data.holes),
                hole_table("test", holes["test"], data.holes if given is None else ["given"]),
            ]
            for split in SPLITS:
                source.save(folder / f"{split}.npy", members[split], split == "train")
            for split in holes:
                save_array(folder / f"{split}_holes.npy", holes[split])
            manifest.to_csv(folder / "manifest.csv", index=False)
            pd.concat(tables).to_csv(folder / HOLES_CSV, index=False)
            save_masks(folder / "test_holes", holes["test"])
            test = source.pixels[source.rows[members["test"][:40]]]
            holed = np.where(holes["test"][:40, ..., None], HOLE_COLOUR, test)
            save_picture(folder / "preview.png", grid(test, 10), grid(holed, 10))

        hole_area = float(holes["test"].mean())
        run.log_metrics({f"{split}_images": len(members[split]) for split in SPLITS})
        left_out = int((manifest["split"] == "").sum())
        run.log_metrics({"left_out": left_out, "hole_area": hole_area})
        run.log_artifact(PREPARED / "manifest.csv")
        run.log_artifact(PREPARED / "preview.png")
    kept = ", ".join(f"{len(members[split])} {split}" for split in SPLITS)
    print(f"{len(manifest)} files: {kept}; holes cover {hole_area:.1%} of the test images")
    for reason, count in manifest["reason"].value_counts().drop("", errors="ignore").items():
        print(f"  left out: {count} x {reason}")


if __name__ == "__main__":
    with plain_errors():
        main()
