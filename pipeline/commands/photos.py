"""People's own pictures: which file goes with which mask, and reading and writing them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from maskgit.data.holes import HOLES, draw_holes, grown, hole_of
from maskgit.data.image_files import (
    Picture,
    UnusableImage,
    decode_image,
    decode_picture,
    encode_png,
)
from maskgit.filling import Fill
from maskgit.inpainting.settings import Decoding
from pipeline.inputs.untrusted import EXTENSIONS, file_fault, is_hidden, read_file
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import write_whole

BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total} {unit}s [{elapsed}<{remaining}]"
MASK_SIZE = 256  # masks are drawn at this size and stretched to the picture


@dataclass(frozen=True)
class Job:
    picture: Path
    mask: Path
    results: tuple[Path, ...]  # one for each variant
    pictures: Path  # the folder, or the picture itself
    masks: Path  # likewise

    def is_done(self) -> bool:
        return all(result.exists() for result in self.results)

    @property
    def shared_mask(self) -> bool:
        """One mask for all pictures, stretched to each."""
        return self.pictures.is_dir() and not self.masks.is_dir()


def pictures_in(source: Path) -> list[Path]:
    """The picture itself, or a folder's, by name. Raises UserError where there is none."""
    if source.is_file():
        return [source]
    if not source.is_dir():
        fault = "is not a regular file" if source.exists() else "does not exist"
        raise UserError(f"{source} {fault}")
    named = [p for p in source.iterdir() if p.suffix.lower() in EXTENSIONS]
    found = sorted(p for p in named if not is_hidden(p.name) and not p.is_dir())
    if not found:
        raise UserError(f"{source}: no picture in it ({' '.join(EXTENSIONS)})")
    return found


def by_stem(pictures: list[Path], source: Path) -> dict[str, Path]:
    """Raises UserError where two have the same."""
    stem, count = Counter(picture.stem for picture in pictures).most_common(1)[0]
    if count > 1:
        raise UserError(f"{source}: {count} pictures are called {stem!r}; results would collide")
    return {picture.stem: picture for picture in pictures}


def plan(source: Path, mask: Path, out: Path, variants: int = 1) -> list[Job]:
    """A job for each picture: masks by stem from a folder, or one mask for all of them.

    For a single picture `out` may name a file; results are PNG, and several variants have numbers
    in their names. Raises UserError.
    """
    pictures = by_stem(pictures_in(source), source)
    if not mask.exists():
        raise UserError(f"{mask} does not exist; 'maskgit mask' draws masks")
    to_file = source.is_file() and out.suffix != "" and not out.is_dir()
    if to_file and out.suffix.lower() != ".png":
        raise UserError(f"{out}: results are PNG, since JPEG would change the known pixels")
    masks = by_stem(pictures_in(mask), mask)
    jobs = []
    for stem, picture in pictures.items():
        if mask.is_dir() and stem not in masks:
            raise UserError(f"{mask}: no mask for {picture.name}")
        own = masks[stem] if mask.is_dir() else mask
        result = out if to_file else out / f"{stem}.png"
        jobs.append(Job(picture, own, numbered(result, variants), source, mask))
    results = [result for job in jobs for result in job.results]
    keep_originals(results, [*pictures.values(), *masks.values()])
    return jobs


def numbered(result: Path, variants: int) -> tuple[Path, ...]:
    """result.png; of several result-1.png, result-2.png, ..."""
    if variants == 1:
        return (result,)
    return tuple(result.with_stem(f"{result.stem}-{k}") for k in range(1, variants + 1))


def keep_originals(results: list[Path], originals: list[Path]) -> None:
    """Raises UserError where a result would take the place of a picture or a mask."""
    taken = {path.resolve() for path in originals if path.exists()}
    for result in results:
        if result.exists() and result.resolve() in taken:
            raise UserError(f"{result} would be overwritten; name another --out")


def load_job(job: Job, invert: bool = False, grow: int = 0) -> tuple[Picture, np.ndarray]:
    """The picture and its hole, bool (H, W). Raises UnusableImage."""
    picture = decode_picture(read_picture(job.picture, job.pictures))
    try:
        mask = decode_image(read_picture(job.mask, job.masks))
    except UnusableImage as error:
        raise UnusableImage(f"the mask {job.mask.name}: {error}") from None
    shape = picture.rgb.shape[:2]
    if mask.shape[:2] != shape and not job.shared_mask:
        raise UnusableImage(
            f"the mask {job.mask.name} is {mask.shape[1]} x {mask.shape[0]}, "
            f"the picture {shape[1]} x {shape[0]}"
        )
    hole = hole_of(mask, shape) ^ invert
    hole = grown(hole, grow)
    if hole.all():
        kept, drawn = ("white", "black") if invert else ("black", "white")
        raise UnusableImage(f"the mask {job.mask.name} is all hole; {drawn} is filled, {kept} kept")
    return picture, hole


def read_picture(path: Path, source: Path) -> bytes:
    """Its bytes; in a folder, links may not lead out of it. Raises UnusableImage."""
    if source.is_dir():
        fault = file_fault(path, source.resolve())
        if fault:
            raise UnusableImage(fault)
    return read_file(path)


def fill_all(
    jobs: list[Job], fill: Fill, decoding: Decoding, invert: bool = False, grow: int = 0
) -> list[str]:
    """Fills and saves, with a progress bar; returns a line for each picture that failed.

    invert: black is the hole, not white. grow: pixels by which each hole is widened.
    """
    failed = []
    with tqdm(total=len(jobs), desc="inpaint", unit="picture", bar_format=BAR) as bar:
        for number, job in enumerate(jobs):
            try:
                picture, hole = load_job(job, invert, grow)
                for k, result in enumerate(job.results):
                    first = number + k / len(job.results)
                    step = partial(show, bar, first, 1 / len(job.results))
                    pixels = fill.pixels(picture, hole, decoding, k, step)
                    save_png(pixels, result, picture.profile)
            except (UnusableImage, OSError) as error:
                failed.append(f"{job.picture}: {error}")
            show(bar, number, 1, 1)
    return failed


def show(bar: tqdm, first: float, length: float, share: float) -> None:
    """How far it is, in pictures: large ones move the bar, too."""
    bar.n = first + length * share
    bar.refresh()


def save_png(pixels: np.ndarray, path: Path, profile: bytes | None = None) -> None:
    write_whole(path, encode_png(pixels, profile))


def draw_masks(
    source: Path, out: Path, kind: str, area: tuple[float, float], seed: int
) -> Iterator[tuple[Path, np.ndarray]]:
    """Where to save a mask and the mask, uint8 (H, W), white = hole, for each picture.

    It has the picture's size; mask i is seeded by i. Raises UserError where the kind or area is
    wrong or a picture cannot be read.
    """
    if kind not in HOLES:
        raise UserError(f"--kind: should be one of {', '.join(HOLES)}")
    if not 0 < area[0] <= area[1] < 1:
        raise UserError("--area: should be two shares between 0 and 1, the smaller first")
    pictures = by_stem(pictures_in(source), source)
    targets = [out / f"{stem}.png" for stem in pictures]
    keep_originals(targets, list(pictures.values()))
    holes = draw_holes(len(pictures), [kind], area, MASK_SIZE, seed)
    for picture, target, hole in zip(pictures.values(), targets, holes, strict=True):
        try:
            height, width = decode_image(read_picture(picture, source)).shape[:2]
        except UnusableImage as error:
            raise UserError(f"{picture}: {error}") from None
        mask = Image.fromarray(hole.astype(np.uint8) * 255)
        yield target, np.asarray(mask.resize((width, height), Image.Resampling.NEAREST))
