"""Fills holes in pictures of any size, window by window."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.ndimage import distance_transform_edt

from maskgit.inpainting.inpainter import Inpainted, Inpainter, image_generators
from maskgit.inpainting.seam import smoothest_fill
from maskgit.inpainting.windows import CONTEXT, Window, plan_finer, plan_windows, shrink_hole, waves
from maskgit.schedules import Gamma

BATCH = 16  # windows that are filled together
LEAST = 16  # pixels per side, to which narrower pictures are continued


class Patch(NamedTuple):
    """A window of the picture that was filled."""

    window: Window
    small: np.ndarray  # uint8 (size, size, 3), the window as the networks got it
    hole: np.ndarray  # bool (size, size), its unknown pixels
    drawn: Inpainted  # a batch of one, its fill
    has_draft: bool  # whether the colours in `hole` are a draft


def fill_photo(
    inpainter: Inpainter,
    image: np.ndarray,
    hole: np.ndarray,
    gamma: Gamma,
    iterations: int,
    seed: int,
    variant: int = 0,
    progress: Callable[[float], object] | None = None,
    watch: Callable[[Patch], object] | None = None,
    drafts: bool = False,
) -> np.ndarray:
    """Fills the hole of one picture, window by window (`maskgit.inpainting.windows`).

    A window larger than the networks' size is scaled to that size, filled, and scaled back. Its
    fill is soft, since the networks draw no more detail than they were trained on. With drafts it
    is drawn again in windows of half the side, and so on, down to the picture's own detail. Dust
    and scratches, which are drawn once, have their smoothest fill as a draft.

    image: uint8 (H, W, 3); hole: bool (H, W), True = fill. variant: the number of the fill; each
    has other random numbers. progress: called with the share that is done, up to 1. watch: called
    with each window once it is filled, in the order of pasting (`maskgit.inpainting.replay`).
    drafts: whether the networks were trained with drafts (`maskgit.data.drafts`). Returns uint8
    (H, W, 3), known pixels bit for bit. Raises ValueError where shapes or dtypes do not fit.
    """
    if image.dtype != np.uint8 or hole.dtype != bool or image.shape != (*hole.shape, 3):
        raise ValueError("image must be uint8 (H, W, 3) and hole bool (H, W)")
    height, width = hole.shape
    image, hole = continued(image, hole)
    size = inpainter.transformer.grid * inpainter.tokenizer.cell
    filled, first = image.copy(), plan_windows(hole, size)
    passes = [first, *(plan_finer(hole, first, size) if drafts else [])]
    done, total = 0, sum(map(len, passes))
    for windows in passes:
        is_finer, before = done > 0, done
        left = filled_by(windows, hole.shape)
        for numbers in batches(windows):
            batch = [windows[number] for number in numbers]
            views = [(filled[window.whole], left[window.whole]) for window in batch]
            inputs = [network_inputs(*view, size, is_finer, drafts) for view in views]
            small, holes, draft = map(np.stack, zip(*inputs, strict=True))
            generators = image_generators(seed, [before + n for n in numbers], variant)
            task = small, holes, gamma, iterations, generators
            drawn = inpainter(*task, draft if drafts else None)
            for i, (window, view) in enumerate(zip(batch, views, strict=True)):
                patch = drawn.images[i]
                if window.side != size:  # else it is blended already
                    large = enlarge(patch, window.side)[None]
                    patch = inpainter.paste(large, *[part[None] for part in view])[0]
                window.paste(filled, patch)
                left[window.inner] &= ~window.fills
                if watch is not None:
                    watch(Patch(window, small[i], holes[i], drawn.image(i), draft[i].any()))
            done += len(batch)
            if progress is not None:
                progress(done / total)
    return filled[:height, :width]


def continued(image: np.ndarray, hole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Continues a narrow picture and its hole to LEAST pixels, down and right, by its last pixels.

    A window is no wider than the picture, and of a window of a few pixels a hole is most or all.
    """
    missing = [(0, max(0, LEAST - side)) for side in hole.shape]
    return np.pad(image, [*missing, (0, 0)], mode="edge"), np.pad(hole, missing, mode="edge")


def network_inputs(
    crop: np.ndarray, unknown: np.ndarray, size: int, is_finer: bool, drafts: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns what networks of that size see of a window: it, its unknown pixels, and its draft.

    crop: uint8 (side, side, 3); unknown: bool (side, side). The draft is bool (size, size), the
    unknown pixels whose colours are a draft: all in finer windows, which show a coarse fill, and
    all of a thin hole at the picture's own detail, which gets its smoothest fill.
    """
    small, hole = shrink(crop, unknown, size)
    if drafts and not is_finer and len(crop) <= size and is_thin(hole):
        return smoothest_fill(small, hole), hole, hole
    return small, hole, hole & is_finer


def is_thin(hole: np.ndarray) -> bool:
    """Whether a window is CONTEXT times as wide as its hole, bool (size, size), is thick."""
    thickness = 2 * distance_transform_edt(hole).max() - 1
    return not hole.all() and CONTEXT * thickness <= len(hole)


def batches(windows: list[Window]) -> Iterator[list[int]]:
    """Yields the numbers of windows that are filled together, in the order of filling."""
    for wave in waves(windows):
        for start in range(0, len(wave), BATCH):
            yield wave[start : start + BATCH]


def filled_by(windows: Sequence[Window], shape: tuple[int, int]) -> np.ndarray:
    """Returns the pixels that windows fill, bool of that shape."""
    pixels = np.zeros(shape, dtype=bool)
    for window in windows:
        pixels[window.inner] |= window.fills
    return pixels


def enlarge(picture: np.ndarray, side: int) -> np.ndarray:
    """Scales a filled copy to the window's size, uint8 (side, side, 3)."""
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC))


def put_back(filled: np.ndarray, own: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Returns the fill in the depth and channels of the original, unchanged outside the hole.

    filled: uint8 (H, W, 3); own: uint8 or uint16 (H, W, C) with C grey, grey and alpha, RGB, or RGB
    and alpha. Returns such an array as `own`, opaque in the hole.
    """
    channels, scale = own.shape[2], np.iinfo(own.dtype).max // 255
    pixels = (
        filled if channels >= 3 else np.asarray(Image.fromarray(filled).convert("L"))[..., None]
    )
    values = pixels[hole]
    if channels in (2, 4):
        values = np.concatenate([values, np.full_like(values[:, :1], 255)], axis=1)
    result = own.copy()
    result[hole] = values.astype(own.dtype) * scale
    return result


def shrink(crop: np.ndarray, unknown: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Scales a window and its unknown pixels (`shrink_hole`) to size x size.

    Pixels are averages over areas, so that no known pixel of the copy depends on an unknown one.
    """
    small = Image.fromarray(crop).resize((size, size), Image.Resampling.BOX)
    return np.array(small), shrink_hole(unknown, size)
