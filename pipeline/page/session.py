"""What the page works on: a photo, its hole, and its fills, as they are watched and saved."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from maskgit.data.cats.cat import draw_cat
from maskgit.data.holes import dilate
from maskgit.data.image_files import (
    Picture,
    UnusableImage,
    decode_picture,
    encode_png,
    picture_of,
)
from maskgit.data.masks import check_hole, check_shape, marked, percent
from maskgit.filling import Fill
from maskgit.inpainting.any_size import Patch
from maskgit.inpainting.replay import picture_after, steps_taken
from pipeline.inputs.untrusted import read_file
from pipeline.plumbing.files import write_atomically

SHOWN = 640  # pixels, the longer side of what the page shows; the photo itself stays as it is
CATS = 1  # the seed of the page's cats: others than those of a training, whose seed is 0


@dataclass(frozen=True)
class Photo:
    """A picture to be filled, and what its results are called after."""

    picture: Picture
    name: str

    @property
    def shape(self) -> tuple[int, int]:
        return self.picture.shape


@dataclass
class Result:
    """One fill of a photo, and how it came about."""

    photo: Photo
    hole: np.ndarray  # bool (H, W)
    gamma: str
    variant: int  # from 1
    pixels: np.ndarray = field(default_factory=lambda: np.empty(0))  # as `photo.picture.own`
    seconds: float = 0.0
    patches: list[Patch] = field(default_factory=list)

    @property
    def title(self) -> str:
        return f"{self.gamma}, fill {self.variant}"

    @property
    def caption(self) -> str:
        return f"{self.title} ({percent(self.hole)}, {self.seconds:.1f} s)"

    @property
    def steps(self) -> int:
        return steps_taken(self.patches)

    def shown(self) -> np.ndarray:
        """The result as the page shows it."""
        return preview(picture_of(self.pixels).rgb)

    def shown_after(self, step: int, fill: Fill) -> np.ndarray:
        """What was decided after so many steps; after the last, the result."""
        if step >= self.steps:
            return self.shown()
        rgb = self.photo.picture.rgb
        return preview(picture_after(step, fill.inpainter, rgb, self.hole, self.patches))

    def save(self, folder: Path) -> Path:
        """As PNG, with the photo's depth, channels and colour profile."""
        path = folder / f"{self.photo.name}-{self.gamma}-{self.variant}.png"
        write_atomically(path, encode_png(self.pixels, self.photo.picture.profile))
        return path


def open_photo(path: Path) -> Photo:
    """Raises UnusableImage with the reason."""
    return Photo(decode_picture(read_file(path)), path.stem)


def draw_photo(number: int, size: int) -> Photo:
    """A built-in cat; another number, another cat."""
    return Photo(picture_of(draw_cat(np.random.default_rng([CATS, number]), size)), f"cat-{number}")


def preview(pixels: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3), its longer side SHOWN pixels."""
    height, width = pixels.shape[:2]
    scale = SHOWN / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = Image.Resampling.NEAREST if scale > 4 else Image.Resampling.LANCZOS  # pixels as they are
    return np.asarray(Image.fromarray(pixels).resize(size, how))


def brushed(layers: Sequence[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Where a brush has been, bool of that shape. layers: uint8 (h, w, 4), of any size."""
    hole = np.zeros(shape, dtype=bool)
    for layer in layers:
        opaque = Image.fromarray(layer[..., 3])
        opaque = opaque.resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
        hole |= np.asarray(opaque) >= 128
    return hole


def hole_to_fill(
    photo: Photo, layers: Sequence[np.ndarray], mask: Path | None, grow: int, invert: bool
) -> np.ndarray:
    """The mask's hole (white) and what was brushed, bool (H, W). invert: the mask's black instead.

    Raises UnusableImage where the mask is of another size, where there is nothing to fill, or
    nothing known.
    """
    hole = brushed(layers, photo.shape)
    if mask is not None:
        try:
            white = marked(decode_picture(read_file(mask))).hole
        except UnusableImage as error:
            raise UnusableImage(f"the mask: {error}") from None
        check_shape(white.shape, photo.shape)
        hole |= white ^ invert
    hole = dilate(hole, grow)
    if mask is not None:
        check_hole(hole, "the mask", invert)
    if not hole.any():
        raise UnusableImage("there is no hole yet: brush over what should go, or add a mask")
    if hole.all():
        raise UnusableImage("the hole is the whole picture; something must be known")
    return hole


def fill_photo_as(
    fill: Fill,
    photo: Photo,
    hole: np.ndarray,
    gammas: Sequence[str],
    variants: int,
    iterations: int,
    seed: int,
    progress: Callable[[float, str], object],
) -> Iterator[Result]:
    """A result for each schedule and variant. progress: told the share that is done, and of what.

    Raises ValueError.
    """
    wanted = [(gamma, k) for gamma in gammas for k in range(variants)]
    for number, (gamma, k) in enumerate(wanted):
        result = Result(photo, hole, gamma, k + 1)
        decoding = fill.decoding(gamma=gamma, iterations=iterations, seed=seed)

        def step(share: float, number: int = number, title: str = result.title) -> None:
            progress((number + share) / len(wanted), title)

        started = time.perf_counter()
        result.pixels = fill.pixels(photo.picture, hole, decoding, k, step, result.patches.append)
        result.seconds = time.perf_counter() - started
        yield result
