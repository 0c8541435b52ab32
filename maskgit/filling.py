"""Fills holes in pictures of any size by a trained model, in three lines of Python.

from maskgit import load, open_picture

fill = load("folder")
filled = fill(open_picture("photo.jpg"), open_picture("mask.png"))
filled.save("filled.png")
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image
from pydantic import ValidationError

from maskgit.checkpoints import BadCheckpoint, restore
from maskgit.data.image_files import Picture, UnusableImage, picture_of, to_pil
from maskgit.data.masks import Marked, check_hole, check_shape, filled_with, marked
from maskgit.inpainting.any_size import Patch, fill_photo, put_back
from maskgit.inpainting.inpainter import Inpainter
from maskgit.inpainting.kinds import make_readings
from maskgit.inpainting.settings import Decoding
from maskgit.mean.decoder import MeanDecoder
from maskgit.model_folder import MEAN_DECODER, PARTS, BadModel, Config, read_model_folder
from maskgit.schedules import make_gamma
from maskgit.tokenizer.kinds import tokenizer_kinds
from maskgit.transformer.kinds import transformer_kinds
from maskgit.validation import fault_of

Pixels = TypeVar("Pixels", Picture, np.ndarray, Image.Image)
Progress = Callable[[float], object]


class Fill:
    """Fills holes by a trained model.

    Attributes:
        readings: an inpainter for each reading that the model has: `sample`, and `mean` where a
            decoder of mean codes was taught.
        config: its settings and what it was trained on.
    """

    def __init__(self, readings: dict[str, Inpainter], config: Config):
        self.readings = readings
        self.config = config

    def __call__(
        self,
        image: Pixels,
        mask: Picture | np.ndarray | Image.Image,
        seed: int | None = None,
        gamma: str | None = None,
        iterations: int | None = None,
        reading: str | None = None,
        progress: Progress | None = None,
    ) -> Pixels:
        """Returns the picture with its hole filled; every other pixel stays as it is.

        Args:
            image: what `maskgit.open_picture` gives; a PIL image; or uint8 or uint16 (H, W) or
                (H, W, C), C as in PNG: grey, grey and alpha, RGB, or RGB and alpha.
            mask: of the same size, white = hole: bool (H, W) with True = hole, or any of the kinds
                of `image`, read by the rule of `maskgit.data.masks`.
            seed: of the random numbers, from 0; another seed gives another fill.
            gamma, iterations: the mask schedule and its number of steps.
            reading: `sample` draws one of the possible fills, step by step; `mean` draws the mean
                of all, nearer to the truth. With `mean_steps` of 1, the default, it takes one pass
                and is the same for every seed. A schedule or iterations ask for `sample`.
            progress: called with the share that is done, up to 1.

        A setting that is left out is that of `config`. Returns the kind, size, dtype and channels
        of `image`; for a PIL image one in RGB, in grey or with alpha, upright and with its colour
        profile. `filled` and `notes` of the result, or of its `info` for PIL, say how much was
        filled and what was read otherwise than the file stores it. Raises ValueError with one line
        on what does not fit.
        """
        (filled,) = self.variants(image, mask, 1, seed, gamma, iterations, reading, progress)
        return filled

    def variants(
        self,
        image: Pixels,
        mask: Picture | np.ndarray | Image.Image,
        count: int,
        seed: int | None = None,
        gamma: str | None = None,
        iterations: int | None = None,
        reading: str | None = None,
        progress: Progress | None = None,
    ) -> list[Pixels]:
        """Returns several fills of one hole; each has random numbers of its own.

        The first is the fill that a call returns, where the reading is the same: several fills ask
        for `sample`, if those of the model would be equal.
        """
        how = {"seed": seed, "gamma": gamma, "iterations": iterations, "reading": reading}
        decoding = self.decoding(count, **how)
        picture = picture_in(image, "image")
        mark = mask_in(mask, picture.shape)
        filled = []
        for number in range(count):
            share = None if progress is None else _part(progress, number, count)
            pixels = self.pixels(picture, mark.hole, decoding, number, share)
            result = filled_with(picture, pixels, mark)
            if isinstance(image, Picture):
                filled.append(result)
            elif isinstance(image, Image.Image):
                filled.append(to_pil(result))
            else:
                filled.append(pixels.reshape(image.shape))
        return filled

    def pixels(
        self,
        picture: Picture,
        hole: np.ndarray,
        decoding: Decoding,
        variant: int = 0,
        progress: Progress | None = None,
        watch: Callable[[Patch], object] | None = None,
    ) -> np.ndarray:
        """Returns `picture.own` with the hole, bool (H, W), filled.

        variant: the number of the fill, from 0; each has other random numbers. watch: see
        `fill_photo`. Raises ValueError where nothing is known of the picture, or nothing is to be
        filled.
        """
        check_hole(hole)
        filled = fill_photo(
            self.readings[decoding.reading],
            picture.rgb,
            hole,
            make_gamma(decoding.gamma, self.config.uncertainty),
            decoding.iterations,
            decoding.seed,
            variant,
            progress,
            watch,
            self.config.trained_on.drafts > 0,
        )
        return put_back(filled, picture.own, hole)

    def decoding(self, count: int = 1, **changes: object) -> Decoding:
        """Returns the settings of `config` with the changes other than None. Raises ValueError.

        count: the number of fills. Without `reading`, what only samples have asks for them:
        schedules, iterations, and several fills that differ.
        """
        wanted = {name: value for name, value in changes.items() if value is not None}
        several = count > 1 and self.config.decoding.mean_steps == 1
        if several or wanted.keys() & {"gamma", "iterations"}:
            wanted = {"reading": "sample"} | wanted
        try:
            decoding = Decoding.model_validate(self.config.decoding.model_dump() | wanted)
        except ValidationError as error:
            raise ValueError(fault_of(error)) from None
        if decoding.reading not in self.readings:
            raise ValueError("reading should be sample: the model has no decoder of mean codes")
        return decoding


def picture_in(value: object, argument: str) -> Picture:
    """Converts an argument to a picture. Raises ValueError, which names it, if it is none."""
    if isinstance(value, Picture):
        return value
    if isinstance(value, Image.Image | np.ndarray):
        try:
            return picture_of(value)
        except UnusableImage as error:
            raise ValueError(f"{argument}: {error}") from None
    files = "; maskgit.open_picture reads a file" if isinstance(value, str | Path) else ""
    raise ValueError(
        f"{argument}: should be a picture of maskgit.open_picture, a PIL image or an array, "
        f"not {type(value).__name__}{files}"
    )


def mask_in(value: object, shape: tuple[int, int]) -> Marked:
    """Returns the marks of a mask, its hole bool (H, W). Raises ValueError at another shape."""
    if isinstance(value, np.ndarray) and value.dtype == bool and value.ndim == 2:
        mark = Marked(value)
    else:
        mark = marked(picture_in(value, "mask"))
    check_shape(mark.hole.shape, shape)
    return mark


def _part(progress: Progress, number: int, count: int) -> Progress:
    """Returns the callback for the progress of one fill of several."""
    return lambda share: progress((number + share) / count)


def load(folder: str | Path) -> Fill:
    """Loads the model of a folder that `maskgit export` wrote.

    Raises BadModel, a ValueError, with one line on what is missing, damaged or does not fit.
    """
    folder = Path(folder)
    found = read_model_folder(folder)
    config, *parts = found
    models = []
    allowed = tokenizer_kinds(), transformer_kinds(), [MeanDecoder]
    for name, part, kinds in zip((*PARTS, MEAN_DECODER), parts, allowed, strict=True):
        try:
            models.append(None if part is None else restore(part, kinds))
        except BadCheckpoint as error:
            raise BadModel(f"{folder / name}.safetensors {error}") from error
    found.check(folder)
    return Fill(make_readings(config.decoding, *models), config)
