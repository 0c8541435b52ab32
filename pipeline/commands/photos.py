"""Fills the pictures of a folder: finds the mask of each, reads, fills and saves them."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

import numpy as np
from tqdm import tqdm

from maskgit.data.holes import dilate, stretched
from maskgit.data.image_files import TOO_LARGE, Picture, UnusableImage, decode_picture, encode_png
from maskgit.data.masks import Marked, check_hole, check_shape, filled_with, marked
from maskgit.filling import Fill
from maskgit.inpainting.settings import Decoding
from pipeline.inputs.untrusted import EXTENSIONS, HEIC, file_fault, is_hidden, read_file
from pipeline.plumbing.errors import UserError, disk_is_full, out_of_memory
from pipeline.plumbing.files import check_writable, write_atomically

BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total} {unit}s [{elapsed}<{remaining}]"


@dataclass(frozen=True)
class Job:
    """A picture to fill, its mask, and where the results go."""

    picture: Path
    mask: Path
    results: tuple[Path, ...]  # one for each variant
    pictures: Path  # the folder of the picture, or the picture itself
    masks: Path  # the folder of the mask, or the mask itself

    def is_done(self) -> bool:
        return all(result.exists() for result in self.results)

    @property
    def shared_mask(self) -> bool:
        """Whether one mask serves all pictures, stretched to each."""
        return self.pictures.is_dir() and not self.masks.is_dir()


def pictures_in(source: Path) -> list[Path]:
    """Returns the picture itself, or the pictures of a folder, by name.

    Raises UserError where there is none.
    """
    if source.is_file():
        return [source]
    if not source.is_dir():
        fault = "is not a regular file" if source.exists() else "does not exist"
        raise UserError(f"{source} {fault}")
    named = [p for p in source.iterdir() if p.suffix.lower() in EXTENSIONS]
    found = sorted(p for p in named if not is_hidden(p.name) and not p.is_dir())
    if not found:
        also = "".join(f"; {line}" for line in passed_over([source]))
        raise UserError(f"{source}: no picture in it ({' '.join(EXTENSIONS)}){also}")
    return found


def passed_over(sources: Sequence[Path]) -> list[str]:
    """Returns lines on what a folder has beside its pictures: folders, and files by ending."""
    lines = []
    for folder in dict.fromkeys(source for source in sources if source.is_dir()):
        others = [
            path
            for path in folder.iterdir()
            if not is_hidden(path.name)
            and path.suffix.lower() not in EXTENSIONS
            and path not in sources
        ]
        within = sum(path.is_dir() for path in others)
        if within:
            named = "1 folder" if within == 1 else f"{within} folders"
            lines.append(f"{folder}: passed over: {named} in it; give each by itself")
        endings = Counter(
            path.suffix.lower() or "without an ending" for path in others if not path.is_dir()
        )
        if endings:
            counts = ", ".join(f"{count} {ending}" for ending, count in sorted(endings.items()))
            mend = "; save HEIC as JPEG or PNG" if endings.keys() & set(HEIC) else ""
            lines.append(f"{folder}: passed over, since not read as pictures: {counts}{mend}")
    return lines


def said_of_folders(source: Path, mask: Path, mask_suffix: str) -> list[str]:
    """Returns lines on files that are passed over, and on pictures that are their own masks."""
    lines = passed_over([source, mask])
    if mask.is_dir() and mask.resolve() == source.resolve() and not mask_suffix:
        lines.append(
            f"{mask}: each picture is its own mask; --mask-suffix _mask pairs x.png with x_mask.png"
        )
    return lines


def same_name(path: Path) -> str:
    """Returns the stem, the same for both forms of letters with accents (Unicode NFC and NFD)."""
    return normalize("NFC", path.stem)


def by_stem(pictures: list[Path], source: Path) -> dict[str, Path]:
    """Returns pictures by their stem. Raises UserError where two have the same."""
    stem, count = Counter(map(same_name, pictures)).most_common(1)[0]
    if count > 1:
        raise UserError(f"{source}: {count} pictures are called {stem!r}; results would collide")
    return {same_name(picture): picture for picture in pictures}


def plan(
    source: Path, mask: Path, out: Path, variants: int = 1, mask_suffix: str = ""
) -> list[Job]:
    """Returns the jobs: a picture each, with its mask from a folder, or one mask for all pictures.

    For a single picture `out` may name a file. Results are PNG files, and several variants have
    numbers in their names. mask_suffix: the name of a mask is that of its picture, the suffix, and
    any digits. Such masks may lie beside the pictures. Each of several masks for a picture makes a
    job, whose result is named as the mask. Raises UserError.
    """
    if mask_suffix:
        return plan_with_suffix(source, mask, out, variants, mask_suffix)
    pictures = by_stem(pictures_in(source), source)
    if not mask.exists():
        raise UserError(f"{mask} does not exist; 'maskgit mask' draws masks")
    to_file = names_file(source, out)
    masks = by_stem(pictures_in(mask), mask)
    jobs = []
    for stem, picture in pictures.items():
        if mask.is_dir() and stem not in masks:
            raise UserError(f"{mask}: no mask for {picture.name}")
        own = masks[stem] if mask.is_dir() else mask
        result = out if to_file else out / f"{stem}.png"
        jobs.append(Job(picture, own, numbered(result, variants), source, mask))
    check_results(jobs, [*pictures.values(), *masks.values(), *beside(source, to_file)])
    return jobs


def names_file(source: Path, out: Path) -> bool:
    """Returns whether `out` names the file of a single result. Raises UserError if no PNG."""
    to_file = source.is_file() and out.suffix != "" and not out.is_dir()
    if to_file and out.suffix.lower() != ".png":
        raise UserError(
            f"{out}: results are PNG, since JPEG would change the known pixels; name a file that "
            "ends in .png, or a folder that exists"
        )
    if not to_file and out.is_file():
        raise UserError(f"{out} is a file; name a folder for the results")
    return to_file


def plan_with_suffix(source: Path, mask: Path, out: Path, variants: int, suffix: str) -> list[Job]:
    """Returns the jobs for masks whose names end in a suffix, see `plan`."""
    if not mask.is_dir():
        raise UserError(f"{mask} is not a folder; --mask-suffix finds masks in a folder by name")
    is_mask = re.compile(rf"(.+){re.escape(normalize('NFC', suffix))}\d*")
    pictures = pictures_in(source)
    if source.resolve() == mask.resolve():
        pictures = [path for path in pictures if not is_mask.fullmatch(same_name(path))]
    if not pictures:
        raise UserError(f"{source}: all pictures in it end in {suffix!r}, as masks do")
    masks: dict[str, list[Path]] = {}
    for name, path in by_stem(pictures_in(mask), mask).items():
        if match := is_mask.fullmatch(name):
            masks.setdefault(match[1], []).append(path)
    jobs, to_file = [], names_file(source, out)
    for stem, picture in by_stem(pictures, source).items():
        if stem not in masks:
            raise UserError(f"{mask}: no mask for {picture.name}, as {stem}{suffix}.png would be")
        if to_file and len(masks[stem]) > 1:
            raise UserError(
                f"{mask}: {len(masks[stem])} masks for {picture.name}; make --out a folder"
            )
        for own in masks[stem]:
            name = picture.stem if len(masks[stem]) == 1 else own.stem
            results = numbered(out if to_file else out / f"{name}.png", variants)
            jobs.append(Job(picture, own, results, source, mask))
    used = [*pictures, *(path for paths in masks.values() for path in paths)]
    check_results(jobs, [*used, *beside(source, to_file)])
    return jobs


def numbered(result: Path, variants: int) -> tuple[Path, ...]:
    """Returns the paths of the variants: result.png, or result-1.png, result-2.png, ..."""
    if variants == 1:
        return (result,)
    return tuple(result.with_stem(f"{result.stem}-{k}") for k in range(1, variants + 1))


def beside(source: Path, to_file: bool) -> list[Path]:
    """Returns the files beside a single picture whose result gets a name from it."""
    return list(source.parent.iterdir()) if source.is_file() and not to_file else []


def check_results(jobs: list[Job], originals: list[Path]) -> None:
    """Raises UserError where results would collide, or take the place of a picture or a mask."""
    results = [result for job in jobs for result in job.results]
    name, count = Counter(results).most_common(1)[0]
    if count > 1:
        raise UserError(f"{name}: {count} results would have this name; rename pictures or masks")
    keep_originals(results, originals)


def keep_originals(results: list[Path], originals: list[Path]) -> None:
    """Raises UserError where a result would take the place of a picture or a mask.

    Files are compared, since some disks take names in capitals or with other accents for the same.
    """
    taken = {file_id(path) for path in originals if path.exists()}
    for result in results:
        if result.exists() and file_id(result) in taken:
            raise UserError(f"{result} would be overwritten; name another --out")


def file_id(path: Path) -> tuple[int, int]:
    """Returns what tells a file from all others."""
    status = path.stat()
    return status.st_dev, status.st_ino


class PictureWithHole(NamedTuple):
    """A picture to fill, and its hole as it is to be filled."""

    picture: Picture
    mask: Marked


def load_job(job: Job, invert: bool = False, grow: int = 0) -> PictureWithHole:
    """Reads the picture and the hole of a job. Raises UnusableImage.

    A mask in a folder of masks may mark nothing: a scan may be clean.
    """
    picture = decode_picture(read_picture(job.picture, job.pictures))
    name = f"the mask {job.mask.name}"
    try:
        mask = decode_picture(read_picture(job.mask, job.masks))
    except UnusableImage as error:
        raise UnusableImage(f"{name}: {error}") from None
    if not job.shared_mask:
        check_shape(mask.shape, picture.shape, name)
    shown = marked(mask).inverted() if invert else marked(mask)
    hole = dilate(stretched(shown.hole, picture.shape), grow)
    if hole.any() or not job.masks.is_dir():
        check_hole(hole, name, invert)
    return PictureWithHole(picture, shown._replace(hole=hole))


def read_picture(path: Path, source: Path) -> bytes:
    """Returns the bytes of a file; in a folder, a link may not lead out of it.

    Raises UnusableImage.
    """
    if source.is_dir():
        fault = file_fault(path, source.resolve())
        if fault:
            raise UnusableImage(fault)
    return read_file(path)


class Outcome(NamedTuple):
    """What became of the pictures, a line for each."""

    filled: list[str]
    copied: list[str]  # their masks mark nothing
    failed: list[str]


def fill_all(
    jobs: list[Job], fill: Fill, decoding: Decoding, invert: bool = False, grow: int = 0
) -> Outcome:
    """Fills and saves the pictures of all jobs, with a progress bar; returns a line for each.

    The line says how much was filled, or why nothing was. invert: black is the hole, not white.
    grow: pixels by which each hole is widened. Raises UserError or OSError where no result can be
    saved.
    """
    outcome = Outcome([], [], [])
    check_writable(result for job in jobs for result in job.results)
    with tqdm(total=len(jobs), desc="inpaint", unit="picture", bar_format=BAR) as bar:
        for number, job in enumerate(jobs):
            try:
                found = load_job(job, invert, grow)
                if not found.mask.hole.any():
                    outcome.copied.append(copy(job, found.picture))
                    show(bar, number, 1, 1)
                    continue
                for k, result in enumerate(job.results):
                    first = number + k / len(job.results)
                    step = partial(show, bar, first, 1 / len(job.results))
                    pixels = fill.pixels(found.picture, found.mask.hole, decoding, k, step)
                    filled = filled_with(found.picture, pixels, found.mask)
                    save_png(filled.own, result, filled.profile)
                    outcome.filled.append(f"{result}: {'; '.join([filled.filled, *filled.notes])}")
            except (UnusableImage, OSError) as error:
                if disk_is_full(error):  # no other result would find room
                    raise
                outcome.failed.append(f"{job.picture}: {error}")
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                outcome.failed.append(f"{job.picture}: {TOO_LARGE}; fill a smaller copy")
            show(bar, number, 1, 1)
    return outcome


def copy(job: Job, picture: Picture) -> str:
    """Saves a picture as it is in place of each result, and returns a line that says so."""
    for result in job.results:
        save_png(picture.own, result, picture.profile)
    others = f" and {len(job.results) - 1} more" if len(job.results) > 1 else ""
    return f"{job.results[0]}{others}: a copy, since the mask {job.mask.name} marks nothing"


def show(bar: tqdm, first: float, length: float, share: float) -> None:
    """Moves the bar to `first` pictures and a share of the next: large pictures take minutes."""
    bar.n = first + length * share
    bar.refresh()


def save_png(pixels: np.ndarray, path: Path, profile: bytes | None = None) -> None:
    write_atomically(path, encode_png(pixels, profile))
