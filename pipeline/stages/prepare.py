"""Stage prepare: reads images from a source, and writes splits, holes and a manifest."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import cycle, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from maskgit.data.copies import EXACT_ONLY, NEAR_COPY, Prints, find_copies
from maskgit.data.crops import BOX
from maskgit.data.holes import draw_numbered_holes, number_of_its_kind
from maskgit.data.mask_sets import MaskSet
from maskgit.data.splits import SPLITS, assign_splits
from pipeline.inputs.dataset import file_blocks, open_pictures, read_lab_masks
from pipeline.inputs.images import draw_image, make_batch, read_image
from pipeline.inputs.mask_files import MaskFiles, counts_text, load_mask_files, mask_table
from pipeline.inputs.untrusted import EXTENSIONS, LINK_OUT, LINK_TO_FOLDER
from pipeline.plumbing.errors import UserError, plain_errors, printable_file
from pipeline.plumbing.files import (
    StoredArray,
    fresh_folder,
    new_array,
    read_table,
    save_array,
    write_table,
)
from pipeline.plumbing.params import Data, load_params
from pipeline.plumbing.places import HOLES_CSV, MASKS_CSV, PREPARED, REPORTS, project_root
from pipeline.plumbing.workers import Workers
from pipeline.reporting.pictures import HOLE_COLOUR, grid, save_masks, save_picture
from pipeline.tracking.stage import stage_run

TRAINING_HOLES = 4096  # for any number of images
NEAR_COPY_REASON = "near copy"
BLOCK = 4096  # images or rows that are copied at a time
TOGETHER = 64  # images that a process makes at a time
TOGETHER_BYTES = 4_000_000  # at most, of these images
LEFT_OUT = REPORTS / "left_out.csv"  # the files of a source that the stage refused, and why
REASONS_NAMED = 4  # in the message of a source with too few usable images


class Source(NamedTuple):
    """A source that was read; arrays are on disk.

    Row k of all arrays but `digests` is the k-th usable image. Test images come first where the
    source has splits.
    """

    files: pd.DataFrame  # a row for each file: `file`, `split`, `reason` where it is unusable
    digests: np.ndarray  # uint8 (files, 32), sha256 of each; zeros where it was not read
    pixels: StoredArray  # uint8 (N, size, size, 3)
    crops: StoredArray  # uint8 (N, crops, size, size, 3)
    boxes: StoredArray  # int32 (N, crops, 3), see BOX
    pixel_digests: np.ndarray  # uint8 (N, 32)
    coarse: StoredArray  # int16 (N, 256), see Prints

    def save(self, path: Path, rows: np.ndarray, with_crops: bool) -> None:
        """Writes the pixels of these images, then the crops of each."""
        crops = self.crops.array.shape[1] if with_crops else 0
        count, shape = len(rows), self.pixels.array.shape[1:]
        out = new_array(path, np.uint8, (count * (1 + crops), *shape))
        for start in range(0, count, BLOCK):
            block = rows[start : start + BLOCK]
            out[start : start + len(block)] = self.pixels[block]
            if crops:
                first = count + start * crops
                out[first : first + len(block) * crops] = self.crops[block].reshape(-1, *shape)
        out.flush()

    def save_windows(self, path: Path, rows: np.ndarray) -> None:
        """Writes the first crop of each of these images, then the second of each, and so on."""
        count, (crops, *shape) = len(rows), self.crops.array.shape[1:]
        out = new_array(path, np.uint8, (count * crops, *shape))
        for crop, start in product(range(crops), range(0, count, BLOCK)):
            block, first = rows[start : start + BLOCK], crop * count + start
            out[first : first + len(block)] = self.crops[block, crop]
        out.flush()


def ranges(count: int, size: int) -> list[range]:
    """Divides range(count) into ranges of `size`."""
    return [range(i, min(i + size, count)) for i in range(0, count, size)]


@contextmanager
def opened(data: Data, seed: int) -> Iterator[tuple[Callable, Iterator[Sequence], int]]:
    """Yields a function that makes an image, blocks of its inputs, and the number of images."""
    how = {"size": data.size, "crops": data.cuts, "seed": seed}
    together = TOGETHER_BYTES // (3 * data.size**2 * (1 + data.cuts))
    together = min(TOGETHER, max(1, together))
    if data.source == "synthetic":
        yield partial(draw_image, **how), iter(ranges(data.count, together)), data.count
        return
    with open_pictures(project_root() / data.source, data.follow_links) as entries:
        # The first of a group of copies is kept, which should be the one of the test split.
        entries.sort(key=lambda entry: ("test", "val", "train", "").index(entry.part))
        make = partial(read_image, fit=data.fit, min_side=data.min_side, **how)
        yield make, file_blocks(entries, together, TOGETHER_BYTES), len(entries)


def load_source(data: Data, seed: int, folder: Path, workers: Workers) -> Source:
    """Reads every file of the source, usable or not; writes pixels to arrays in the folder."""
    with opened(data, seed) as (make, blocks, total):
        square = data.size, data.size, 3
        pixels = new_array(folder / "pixels.npy", np.uint8, (total, *square))
        crops = new_array(folder / "crops.npy", np.uint8, (total, data.cuts, *square))
        boxes = new_array(folder / "boxes.npy", np.int32, (total, data.cuts, len(BOX)))
        coarse = new_array(folder / "coarse.npy", np.int16, (total, 256))
        digests, pixel_digests = (
            new_array(folder / f"{name}.npy", np.uint8, (total, 32)) for name in ("files", "prints")
        )
        tables, rows, usable, done = [], [], 0, 0
        with tqdm(desc="read images", total=total, unit="image") as progress:
            for batch in workers.map(partial(make_batch, make), blocks, total):
                new = slice(usable, usable + len(batch.pixels))
                digests[done : done + len(batch.files)] = batch.digests
                if len(batch.pixels):
                    pixels[new], crops[new], boxes[new] = batch.pixels, batch.crops, batch.boxes
                    pixel_digests[new], coarse[new] = batch.pixel_digests, batch.coarse
                usable, done = new.stop, done + len(batch.files)
                rows += ((printable_file(file), *others) for file, *others in batch.files)
                progress.update(len(batch.files))
                if len(rows) >= BLOCK or done == total:  # a table needs less memory than a list
                    tables.append(pd.DataFrame(rows, columns=["file", "split", "reason", "notes"]))
                    rows = []
    pixels, crops, boxes, coarse = (
        StoredArray(folder / f"{name}.npy", usable)
        for name in ("pixels", "crops", "boxes", "coarse")
    )
    files = pd.concat(tables, ignore_index=True)
    return Source(files, digests, pixels, crops, boxes, pixel_digests[:usable], coarse)


def make_manifest(source: Source, data: Data, seed: int, workers: Workers) -> pd.DataFrame:
    """Returns a row for each file: its split, or the reason why it was left out."""
    columns = ["file", "split", "duplicate_of", "reason", "notes"]
    manifest = source.files.assign(duplicate_of="")[columns]
    usable = np.flatnonzero(manifest["reason"] == "")
    if len(usable) == 0:
        raise refusal(data, f"none of its {len(manifest)} files is a usable image", manifest)
    prints = Prints(source.digests[usable], source.pixel_digests, source.coarse)
    with tqdm(desc="find near copies", unit="piece", delay=2) as bar:

        def mapper(work: Callable, blocks: Iterable[Sequence]) -> Iterator:
            for result in workers.map(work, blocks):
                yield result
                bar.update()

        threshold = NEAR_COPY if data.near_copies else EXACT_ONLY
        copies = find_copies(source.pixels, prints, threshold, mapper)
    repeats = copies.original != np.arange(len(usable))
    rows, originals = usable[repeats], usable[copies.original[repeats]]
    manifest.loc[rows, "duplicate_of"] = manifest.loc[originals, "file"].to_numpy()
    manifest.loc[rows, "reason"] = np.where(copies.exact[repeats], "exact copy", NEAR_COPY_REASON)

    kept = manifest["reason"] == ""
    if not manifest.loc[kept, "split"].all():
        try:
            splits = assign_splits(source.digests[kept], data.validation, data.test, seed)
        except ValueError as error:
            fault = f"{error}; add images or change data.test"
            raise refusal(data, fault, manifest) from None
        manifest.loc[kept, "split"] = splits
    manifest.loc[~kept, "split"] = ""
    for split in SPLITS:
        count = (manifest["split"] == split).sum()
        if not count:
            raise refusal(data, f"no usable image is left for the {split} split", manifest)
        if split == "test" and count == 1:  # scores compare sets
            raise refusal(data, "one image is too few for the test split", manifest)
    return manifest


def refusal(data: Data, fault: str, manifest: pd.DataFrame) -> UserError:
    """Returns the error of a source with too few usable images, and says which files are left out.

    Writes them to LEFT_OUT, since the outputs of a stage that failed are not kept.
    """
    left_out = manifest.loc[manifest["reason"] != "", ["file", "duplicate_of", "reason"]]
    if left_out.empty:
        return UserError(f"{data.source}: {fault}")
    write_table(project_root() / LEFT_OUT, left_out)
    counts = left_out["reason"].value_counts()
    reasons = [f"{count} x {reason}{setting_for(reason)}" for reason, count in counts.items()]
    more = len(reasons) - REASONS_NAMED
    others = f" and {more} other reasons" if more > 0 else ""
    why = f"{', '.join(reasons[:REASONS_NAMED])}{others}"
    return UserError(f"{data.source}: {fault}; left out: {why}; see {LEFT_OUT}")


def setting_for(reason: str) -> str:
    """Returns ' (data.min_side)', the setting that admits files left out for a reason, or ''."""
    settings = {
        "smaller than": "min_side",
        LINK_OUT: "follow_links",
        LINK_TO_FOLDER: "follow_links",
        NEAR_COPY_REASON: "near_copies",
    }
    found = [name for start, name in settings.items() if reason.startswith(start)]
    return f" (data.{found[0]})" if found else ""


def save_manifest(path: Path, manifest: pd.DataFrame, source: Source, data: Data) -> None:
    """Writes the manifest with the sha256 of each file, in blocks.

    With data.windows, an image has a row for each of its windows, with the columns of `windows_of`.
    """
    usable = np.cumsum(source.files["reason"] == "") - 1
    place = manifest.groupby("split").cumcount()
    count = manifest["split"].map(manifest["split"].value_counts())
    for block in ranges(len(manifest), BLOCK):
        rows = manifest.iloc[block.start : block.stop].copy()
        read = source.digests[block.start : block.stop]
        rows.insert(2, "sha256", [bytes(d).hex() if d.any() else "" for d in read])
        if data.windows:
            kept = rows.index[rows["split"] != ""]
            boxes = source.boxes[usable[kept].to_numpy()]
            rows = rows.join(windows_of(kept, boxes, place[kept], count[kept]))
        rows.to_csv(path, mode="a", header=block.start == 0, index=False)


def windows_of(
    files: pd.Index, boxes: np.ndarray, place: pd.Series, count: pd.Series
) -> pd.DataFrame:
    """Returns a row for each window of these files, which are the index: number, box and image.

    boxes: int (n, windows, 3). place, count: of each file among those of its split, and how many
    there are. The image is the window's row in the array of the split, see `Source.save_windows`.
    """
    n, windows, _ = boxes.shape
    window = np.arange(windows)
    image = place.to_numpy()[:, None] + window * count.to_numpy()[:, None]
    columns = {"window": np.tile(window, n)}
    columns |= dict(zip(BOX, boxes.reshape(-1, len(BOX)).T, strict=True))
    columns |= {"image": image.ravel()}
    return pd.DataFrame(columns, index=files.repeat(windows)).astype("Int64")  # empty where none is


def given_holes(data: Data, source: Source, tests: np.ndarray) -> np.ndarray | None:
    """Returns the lab's masks for the test images with these numbers; None where it has none."""
    path = project_root() / data.source
    masks = (
        None if data.source == "synthetic" else read_lab_masks(path, data.size, data.follow_links)
    )
    if masks is None:
        return None
    if data.windows:
        raise UserError(
            f"{data.source}: the masks in mask64 are of whole pictures; "
            "set data.windows=0 or remove them"
        )
    named = source.files["file"].str.lower().str.endswith(EXTENSIONS).to_numpy()
    given = int((named & (source.files["split"] == "test")).sum())
    if len(masks) != given:
        raise UserError(f"{data.source}: {len(masks)} masks in mask64 for {given} test images")
    number = named.cumsum() - 1  # of each picture; the test split comes first
    return masks[number[tests]]


def save_holes(
    path: Path, count: int, data: Data, seed: int, workers: Workers, sets: dict[str, MaskSet]
) -> np.ndarray:
    """Draws holes, writes them to a file, and returns them, bool (count, size, size).

    sets: the split's masks from files, by their path in `data.holes`.
    """
    holes = new_array(path, bool, (count, data.size, data.size))
    draw = partial(
        draw_numbered_holes,
        kinds=data.holes,
        area=data.hole_area,
        size=data.size,
        seed=seed,
        sets={name: masks.hole for name, masks in sets.items()},
    )
    blocks = ranges(count, TOGETHER)
    for block, drawn in zip(blocks, workers.map(draw, blocks), strict=True):
        holes[block.start : block.stop] = drawn
    holes.flush()
    return holes


def used_files(
    count: int, kinds: list[str], files: dict[str, MaskFiles], sets: dict[str, MaskSet]
) -> list[str]:
    """Returns the mask file that each of `count` holes was made of, '' where it was drawn."""
    return [
        files[kind].file(sets[kind].row(number_of_its_kind(i, kinds))) if kind in sets else ""
        for i, kind in zip(range(count), cycle(kinds), strict=False)
    ]


def hole_table(split: str, holes: np.ndarray, kinds: list[str]) -> pd.DataFrame:
    """Returns kind and area of each hole; holes: bool (N, H, W), of the kinds in turn."""
    kind = [kinds[i % len(kinds)] for i in range(len(holes))]
    areas = holes.mean(axis=(1, 2))
    return pd.DataFrame({"split": split, "image": range(len(holes)), "kind": kind, "area": areas})


def prepare(
    data: Data, seed: int, folder: Path, workers: Workers
) -> tuple[pd.DataFrame, np.ndarray]:
    """Writes all outputs of the stage; returns the manifest and the test holes."""
    with TemporaryDirectory(dir=folder) as unsorted:
        source = load_source(data, seed, Path(unsorted), workers)
        manifest = make_manifest(source, data, seed, workers)
        members = {split: np.flatnonzero(manifest["split"] == split) for split in SPLITS}
        usable = np.flatnonzero(source.files["reason"] == "")
        rows = {split: np.searchsorted(usable, members[split]) for split in SPLITS}
        tests = given_holes(data, source, members["test"])
        how = data.size, seed, Path(unsorted), workers, {}, data.follow_links
        files = {path: load_mask_files(path, *how) for path in dict.fromkeys(data.mask_sets)}
        tables = []
        for split, count, shift in (
            ("train", TRAINING_HOLES, 1),
            ("val", len(rows["val"]) * (data.windows or 1), 2),
            ("test", len(rows["test"]) * (data.windows or 1), 0),
        ):
            path, kinds = folder / f"{split}_holes.npy", data.hole_kinds
            sets = {name: masks.of_split(split, seed + shift) for name, masks in files.items()}
            if split == "test" and tests is not None:
                holes, kinds, sets = tests, ["given"], {}
                save_array(path, holes)
            else:
                holes = save_holes(path, count, data, seed + shift, workers, sets)
            if split != "train":
                table = hole_table(split, holes, kinds)
                if sets:
                    table["mask"] = used_files(count, data.holes, files, sets)
                tables.append(table)
            if data.windows:
                source.save_windows(folder / f"{split}.npy", rows[split])
            else:
                source.save(folder / f"{split}.npy", rows[split], split == "train")
        save_manifest(folder / "manifest.csv", manifest, source, data)
        pd.concat(tables).to_csv(folder / HOLES_CSV, index=False)
        if files:
            mask_table(files).to_csv(folder / MASKS_CSV, index=False)
        save_masks(folder / "test_holes", holes)
        test = np.load(folder / "test.npy", mmap_mode="r")[:40]
        holed = np.where(holes[:40, ..., None], HOLE_COLOUR, test)
        save_picture(folder / "preview.png", grid(test, 10), grid(holed, 10))
    (project_root() / LEFT_OUT).unlink(missing_ok=True)  # of an earlier source
    return manifest, holes


def main() -> None:
    params = load_params()
    data, seed = params.data, params.seed
    with stage_run("prepare", params, PREPARED) as run:
        with fresh_folder(PREPARED) as folder, Workers() as workers:
            manifest, holes = prepare(data, seed, folder, workers)
            hole_area = float(holes.mean())
        images = manifest["split"].value_counts()
        each = data.windows or 1
        run.log_metrics({f"{split}_images": int(images[split]) * each for split in SPLITS})
        run.log_metrics({"left_out": int(images.get("", 0)), "hole_area": hole_area})
    kept = ", ".join(f"{images[split]} {split}" for split in SPLITS)
    if data.windows:
        kept += f", windows of each: {data.windows}"
    print(f"{len(manifest)} files: {kept}; holes cover {hole_area:.1%} of the test images")
    for reason, count in manifest["reason"].value_counts().drop("", errors="ignore").items():
        print(f"  left out: {count} x {reason}{setting_for(reason)}")
    used = manifest["notes"][manifest["split"] != ""]
    for note, count in used[used != ""].str.split("; ").explode().value_counts().items():
        print(f"  {count} x {note}")
    if data.mask_sets:
        for name, masks in read_table(PREPARED / MASKS_CSV).groupby("set", sort=False):
            print(counts_text(name, masks))


if __name__ == "__main__":
    with plain_errors():
        main()
