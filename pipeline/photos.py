"""People's own pictures: which file goes with which mask, and reading and writing them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from maskgit.holes import draw_holes
from maskgit.images import UnusableImage, decode_image
from pipeline.errors import UserError
from pipeline.files import write_whole
from pipeline.sources import EXTENSIONS

HOLE_FROM = 128  # grey level from which a mask pixel is a hole
MASK_SIZE = 256  # masks are drawn at this size and stretched to the picture


@dataclass(frozen=True)
class Job:
    picture: Path
    mask: Path
    result: Path
    shared_mask: bool  # one mask for all pictures, stretched to each


def pictures_in(source: Path) -> list[Path]:
    """The picture itself, or a folder's, by name. Raises UserError where there is none."""
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise UserError(f"{source} does not exist")
    found = sorted(p for p in source.iterdir() if p.suffix.lower() in EXTENSIONS and p.is_file())
    if not found:
        raise UserError(f"{source}: no picture in it ({' '.join(EXTENSIONS)})")
    return found


def plan(source: Path, mask: Path, out: Path) -> list[Job]:
    """A job for each picture: masks by stem from a folder, or one mask for all of them.

    For a single picture `out` may name a file; results are PNG. Raises UserError.
    """
    pictures = pictures_in(source)
    if not mask.exists():
        raise UserError(f"{mask} does not exist; 'maskgit mask' draws masks")
    to_file = source.is_file() and out.suffix != "" and not out.is_dir()
    if to_file and out.suffix.lower() != ".png":
        raise UserError(f"{out}: results are PNG, since JPEG would change the known pixels")
    stem, count = Counter(picture.stem for picture in pictures).most_common(1)[0]
    if count > 1:
        raise UserError(f"{source}: {count} pictures are called {stem!r}; results would collide")
    masks = {path.stem: path for path in pictures_in(mask)} if mask.is_dir() else {}
    jobs = []
    for picture in pictures:
        if mask.is_dir() and picture.stem not in masks:
            raise UserError(f"{mask}: no mask for {picture.name}")
        own = masks.get(picture.stem, mask)
        result = out if to_file else out / f"{picture.stem}.png"
        jobs.append(Job(picture, own, result, shared_mask=mask.is_file() and source.is_dir()))
    return jobs


def load_job(job: Job) -> tuple[np.ndarray, np.ndarray]:
    """The picture, uint8 (H, W, 3), and its hole, bool (H, W). Raises UnusableImage, OSError."""
    image = decode_image(job.picture.read_bytes())
    grey = Image.fromarray(decode_image(job.mask.read_bytes())).convert("L")
    if grey.size != image.shape[1::-1]:
        if not job.shared_mask:
            height, width = image.shape[:2]
            raise UnusableImage(
                f"the mask {job.mask.name} is {grey.width} x {grey.height}, "
                f"the picture {width} x {height}"
            )
        grey = grey.resize(image.shape[1::-1], Image.Resampling.NEAREST)
    return image, np.asarray(grey) >= HOLE_FROM


def save_png(pixels: np.ndarray, path: Path) -> None:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    write_whole(path, buffer.getbuffer())


def draw_masks(
    pictures: list[Path], kind: str, area: tuple[float, float], seed: int
) -> Iterator[tuple[Path, np.ndarray]]:
    """A mask, uint8 (H, W), white = hole, for each picture at its size; mask i is seeded by i.

    Raises UserError where a picture cannot be read.
    """
    holes = draw_holes(len(pictures), kind, area, MASK_SIZE, seed)
    for picture, hole in zip(pictures, holes, strict=True):
        try:
            height, width = decode_image(picture.read_bytes()).shape[:2]
        except UnusableImage as error:
            raise UserError(f"{picture}: {error}") from None
        mask = Image.fromarray(hole).resize((width, height), Image.Resampling.NEAREST)
        yield picture, np.asarray(mask).astype(np.uint8) * 255
