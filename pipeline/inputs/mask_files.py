"""Reads sets of masks that `data.holes` names: which files are used, for which split."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from maskgit.data.mask_sets import MaskSet, in_turn, shape_digest, split_masks
from maskgit.data.splits import SPLITS
from pipeline.inputs.dataset import file_blocks, open_pictures
from pipeline.inputs.images import read_masks
from pipeline.plumbing.errors import UserError, printable, printable_file
from pipeline.plumbing.files import StoredArray, new_array
from pipeline.plumbing.places import project_root
from pipeline.plumbing.workers import Workers

TOGETHER, TOGETHER_BYTES = 32, 4_000_000  # masks that a process reads at a time, at most


class MaskFiles:
    """A set of masks, read and split.

    Attributes:
        table: a row for each file: `file`, `split`, `sha256`, `area` (share of the picture), and
            `reason` where it is not used.
        holes: bool (M, size, size) on disk, of the files that are used, in the table's order.
    """

    def __init__(self, table: pd.DataFrame, holes: StoredArray):
        self.table, self.holes = table, holes
        self.used = table[table["reason"] == ""].reset_index(drop=True)

    def of_split(self, split: str, seed: int) -> MaskSet:
        """Returns the masks of a split in the order in which they are used."""
        rows = np.flatnonzero(self.used["split"] == split)
        areas = self.used["area"].to_numpy()[rows]
        return MaskSet(self.holes, rows[in_turn(areas, seed)])

    def file(self, row: int) -> str:
        """Returns the file that a row of `holes` was made of."""
        return self.used["file"].iloc[row]


def load_mask_files(
    source: str,
    size: int,
    seed: int,
    folder: Path,
    workers: Workers,
    seen: dict[bytes, tuple[str, str]],
    follow_links: bool = False,
) -> MaskFiles:
    """Reads all masks of a folder or zip, scaled and cropped to `size`, and splits them.

    Files that are no masks are left out, and so are copies, also turned, mirrored or saved anew.
    source: relative to the project's root. folder: for the holes. seen: set and file of each shape
    in the sets that were read before; those of this one are added. Raises UserError.
    """
    rows, digests, used = [], [], 0
    with open_pictures(project_root() / source, follow_links) as entries:
        path = folder / f"{len(list(folder.iterdir()))}.npy"
        holes = new_array(path, bool, (len(entries), size, size))
        blocks = file_blocks(entries, TOGETHER, TOGETHER_BYTES)
        with tqdm(desc=f"read masks of {Path(source).name}", total=len(entries), delay=2) as bar:
            for block in workers.map(partial(read_masks, size=size), blocks, len(entries)):
                for mask in block:
                    reason, area = mask.reason, np.nan
                    if not reason:
                        area = mask.hole.mean()
                        own = source, mask.file
                        original = seen.setdefault(shape_digest(mask.hole), own)
                        reason = f"copy of {name_of(original, source)}" if original != own else ""
                    if not reason:
                        holes[used] = mask.hole
                        digests.append(bytes.fromhex(mask.sha256))
                        used += 1
                    file = printable_file(mask.file)
                    rows.append((file, "", mask.sha256, area, printable(reason)))
                bar.update(len(block))
    table = pd.DataFrame(rows, columns=["file", "split", "sha256", "area", "reason"])
    if not used:
        raise UserError(f"data.holes: {source}: {why_none(table)}")
    stored = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
    try:
        table.loc[table["reason"] == "", "split"] = split_masks(stored, seed)
    except ValueError:
        raise UserError(
            f"data.holes: {source}: {used} different masks are too few to train, validate and "
            "test with different ones; add masks"
        ) from None
    return MaskFiles(table, StoredArray(path, used))


def name_of(original: tuple[str, str], source: str) -> str:
    """Returns how a mask is named in the table of a set: with its own set, where it is another."""
    origin, file = original
    return file if origin == source else f"{Path(origin).name}/{file}"


def why_none(table: pd.DataFrame) -> str:
    """Returns that no file of a set is usable as a mask, with the most frequent reason."""
    reason = table["reason"].mode()[0]
    return f"none of its {len(table)} files is a usable mask ({reason})"


def mask_table(sets: dict[str, MaskFiles]) -> pd.DataFrame:
    """Returns the tables of all sets under each other, with the set's name first."""
    return pd.concat(
        [each.table.assign(set=Path(source).name) for source, each in sets.items()],
        ignore_index=True,
    )[["set", "file", "split", "sha256", "area", "reason"]]


def counts_text(name: str, table: pd.DataFrame) -> str:
    """Returns how many masks of a set each split has, and why others are not used."""
    splits = table["split"].value_counts()
    kept = ", ".join(f"{splits.get(split, 0)} {split}" for split in SPLITS)
    lines = [f"{len(table)} masks of {name}: {kept}"]
    reasons = table["reason"].replace(["^copy of .*", "^$"], ["copy", None], regex=True)
    lines += [f"  left out: {count} x {reason}" for reason, count in reasons.value_counts().items()]
    return "\n".join(lines)
