"""The data of a visitor's session: a photo, its hole, and its fills, as the page shows them."""

import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from maskgit.data.holes import dilate
from maskgit.data.image_files import (
    Picture,
    UnusableImage,
    decode_picture,
    encode_png,
    picture_of,
)
from maskgit.data.masks import Marked, check_hole, check_shape, filled_with, marked
from maskgit.filling import Fill
from maskgit.inpainting.any_size import Patch
from maskgit.inpainting.replay import picture_after, steps_taken
from maskgit.inpainting.settings import Decoding
from maskgit.schedules import NAMES
from pipeline.inputs.untrusted import read_file
from pipeline.models.fill import shipped_weights
from pipeline.plumbing.files import write_atomically
from pipeline.plumbing.params import MEAN

PAGE_SIDE = 640  # pixels, the longer side of what the page shows; the photo keeps its size
SAMPLE = "sample.png", "sample-hole.png"  # beside the shipped weights: a damaged photo, its hole


@dataclass(frozen=True)
class Photo:
    """A picture to be filled, and the name that its results start with."""

    picture: Picture
    name: str

    @property
    def shape(self) -> tuple[int, int]:
        """The height and width in pixels."""
        return self.picture.shape

    def preview(self, rgb: np.ndarray) -> np.ndarray:
        """Returns uint8 (H, W, 3) with the photo's colour profile as the page shows it, in sRGB."""
        return in_srgb(preview(rgb), self.picture.profile)


@dataclass
class Result:
    """One fill of a photo, with its settings and the steps of its decoding."""

    photo: Photo
    mask: Marked  # the hole
    way: str  # a schedule or MEAN
    variant: int  # from 1
    pixels: np.ndarray = field(default_factory=lambda: np.empty(0))  # as `photo.picture.own`
    seconds: float = 0.0
    patches: list[Patch] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The way of filling and the number of the variant."""
        return f"{self.way}, fill {self.variant}"

    @property
    def said(self) -> str:
        """How much was filled, and what was read otherwise than the photo's file stores it."""
        filled = filled_with(self.photo.picture, self.pixels, self.mask)
        said = "; ".join([filled.filled, *filled.notes])
        return f"{self.title}: {said}; {self.seconds:.1f} s"

    @property
    def steps(self) -> int:
        """The largest number of steps that a window took."""
        return steps_taken(self.patches)

    def shown(self) -> np.ndarray:
        """Returns the result as the page shows it."""
        return self.photo.preview(picture_of(self.pixels).rgb)

    def shown_after(self, step: int, fill: Fill) -> np.ndarray:
        """Returns the picture after a number of steps; after the last, the result."""
        if step >= self.steps:
            return self.shown()
        rgb = self.photo.picture.rgb
        inpainter = fill.readings["sample"]  # the mean reading has no step before its result
        return self.photo.preview(picture_after(step, inpainter, rgb, self.mask.hole, self.patches))

    def save(self, folder: Path) -> Path:
        """Saves the result as PNG, with the photo's depth, channels and colour profile."""
        path = folder / f"{self.photo.name}-{self.way}-{self.variant}.png"
        write_atomically(path, encode_png(self.pixels, self.photo.picture.profile))
        return path


def open_photo(path: Path) -> Photo:
    """Reads a photo. Raises UnusableImage with the reason."""
    return Photo(decode_picture(read_file(path)), path.stem)


def sample_photo() -> tuple[Photo, np.ndarray]:
    """Reads the photo that comes with the project, and its hole, bool (H, W)."""
    photo, mask = (open_photo(shipped_weights() / name) for name in SAMPLE)
    return photo, marked(mask.picture).hole


def preview_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Returns the height and width of a picture whose longer side has PAGE_SIDE pixels."""
    scale = PAGE_SIDE / max(shape)
    return tuple(max(1, round(length * scale)) for length in shape)


def preview(pixels: np.ndarray) -> np.ndarray:
    """Scales uint8 (H, W, 3) so that its longer side has PAGE_SIDE pixels."""
    height, width = preview_shape(pixels.shape[:2])
    # Much enlarged pixels stay squares: the picture has no more detail than that.
    enlarged = 4 * max(pixels.shape[:2]) < PAGE_SIDE
    how = Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(pixels).resize((width, height), how))


def in_srgb(pixels: np.ndarray, profile: bytes | None) -> np.ndarray:
    """Converts uint8 (H, W, 3) to sRGB; unchanged without a profile, or with an unfit one."""
    if profile is None:
        return pixels
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        shown = ImageCms.profileToProfile(
            Image.fromarray(pixels), own, ImageCms.createProfile("sRGB")
        )
    except (ImageCms.PyCMSError, OSError):  # of grey, or damaged
        return pixels
    return np.asarray(shown)


def painted(hole: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Returns a layer for the editor, uint8 (PAGE_SIDE, PAGE_SIDE, 4), with a hole in a colour.

    hole: bool (H, W); its smallest spots stay. The layer is square, since Gradio puts another one
    in the middle of a square. The photo's preview lies in its upper left corner.
    """
    height, width = preview_shape(hole.shape)
    shares = Image.fromarray(hole.astype(np.float32))
    spots = np.asarray(shares.resize((width, height), Image.Resampling.BOX)) > 0
    layer = np.zeros((PAGE_SIDE, PAGE_SIDE, 4), dtype=np.uint8)
    layer[..., :3] = colour
    layer[:height, :width, 3] = 255 * spots
    return layer


def brushed(layers: Sequence[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Returns the pixels that a brush has covered, bool of that shape.

    layers: uint8 (h, w, 4), of any size, or squares as of `painted`.
    """
    hole = np.zeros(shape, dtype=bool)
    height, width = preview_shape(shape)
    for layer in layers:
        is_square = layer.shape[:2] == (PAGE_SIDE, PAGE_SIDE)
        opaque = Image.fromarray(layer[:height, :width, 3] if is_square else layer[..., 3])
        opaque = opaque.resize((shape[1], shape[0]), Image.Resampling.BOX)
        hole |= np.asarray(opaque) >= 128
    return hole


def hole_to_fill(
    photo: Photo, layers: Sequence[np.ndarray], mask: Path | None, grow: int, invert: bool
) -> Marked:
    """Returns the mask's hole (white) and the brushed pixels.

    invert: the mask's black is the hole instead. Raises UnusableImage where the mask is of another
    size, where nothing is to be filled, or where nothing is known.
    """
    shown = Marked(brushed(layers, photo.shape))
    if mask is not None:
        try:
            read = marked(decode_picture(read_file(mask)))
        except UnusableImage as error:
            raise UnusableImage(f"the mask: {error}") from None
        check_shape(read.hole.shape, photo.shape)
        read = read.inverted() if invert else read
        shown = read._replace(hole=read.hole | shown.hole)
    hole = dilate(shown.hole, grow)
    if mask is not None:
        check_hole(hole, "the mask", invert)
    if not hole.any():
        raise UnusableImage("there is no hole yet: brush over what should go, or add a mask")
    if hole.all():
        raise UnusableImage("the hole is the whole picture; something must be known")
    return shown._replace(hole=hole)


def ways_of(fill: Fill) -> list[str]:
    """Returns the ways in which a model fills: each schedule, and MEAN if it has that reading."""
    return [*NAMES, *([MEAN] if MEAN in fill.readings else [])]


def own_way(decoding: Decoding) -> str:
    """Returns the way of filling that a model's settings name."""
    return MEAN if decoding.reading == "mean" else decoding.gamma


def fill_photo_as(
    fill: Fill,
    photo: Photo,
    mask: Marked,
    ways: Sequence[str],
    variants: int,
    iterations: int,
    seed: int,
    progress: Callable[[float, str], object],
) -> Iterator[Result]:
    """Yields a result for each way and variant. Raises ValueError.

    MEAN has a single fill. Its other variants are those of the model's schedule. progress: called
    with the share that is done, and with the title of the fill.
    """
    wanted = []
    for way in ways:
        single, many = ([(MEAN, 0)], fill.config.decoding.gamma) if way == MEAN else ([], way)
        wanted += [*single, *[(many, k) for k in range(variants - len(single))]]
    wanted = list(dict.fromkeys(wanted))
    for number, (way, k) in enumerate(wanted):
        result = Result(photo, mask, way, k + 1)
        how = {"reading": "mean"} if way == MEAN else {"reading": "sample", "gamma": way}
        decoding = fill.decoding(iterations=iterations, seed=seed, **how)

        def step(share: float, number: int = number, title: str = result.title) -> None:
            progress((number + share) / len(wanted), title)

        started = time.perf_counter()
        result.pixels = fill.pixels(
            photo.picture, mask.hole, decoding, k, step, result.patches.append
        )
        result.seconds = time.perf_counter() - started
        yield result
