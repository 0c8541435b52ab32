"""Finds the hole that a mask shows, by one rule for all masks.

1. A mask that is transparent in places has its hole by its alpha. If its visible part is paint on
   a clear layer, that part is the hole. Otherwise the visible part is kept, and the transparent
   part is the hole. Paint is a few colours, most of it bright, such as white, red or blue, on at
   most half of the layer. A photo with a part erased has many colours or covers most of the layer.
   Black alone on a clear layer is not paint.
2. If all values are 0 or 1 (label maps, boolean arrays saved as numbers), 1 is the hole.
3. Otherwise white is the hole: a pixel with any channel of 128 of 255 or more. So red, green and
   blue brushes on black are masks, too.
"""

from typing import NamedTuple

import numpy as np

from maskgit.data.image_files import Picture, UnusableImage, eight_bits

HOLE_FROM = 128  # of 255, in any channel
PAINT_COLOURS = 4  # colours, of 5 bits a channel, that make up NEARLY_ALL of what is painted
NEARLY_ALL = 0.9
PAINT_SHARE = 0.5  # the largest share of a layer that counts as paint
FLAT_ALPHA = 16  # of 255; alpha that differs by less is uniform


class Marked(NamedTuple):
    """A hole, and how the mask shows it."""

    hole: np.ndarray  # bool (H, W)
    how: str = "white"  # or 'painted', 'transparent', 'not painted', 'not transparent'
    notes: tuple[str, ...] = ()  # of the mask's file, as `Picture.notes`

    def inverted(self) -> "Marked":
        """Returns the mask with the rest of the picture as the hole."""
        how = self.how if self.how == "white" else f"not {self.how}"
        return Marked(~self.hole, how, self.notes)


def marked(mask: Picture) -> Marked:
    """Returns the hole of a mask, by the rule above."""
    hole, how, _ = _marked(eight_bits_of_mask(mask.own))
    return Marked(hole, how, mask.notes)


def eight_bits_of_mask(own: np.ndarray) -> np.ndarray:
    """Converts a mask to uint8 (H, W, C); colours of 0 and 1 only become 0 and 255."""
    count = own.shape[2] - (own.shape[2] in (2, 4))
    if own[..., :count].max() > 1:
        return eight_bits(own)
    return np.concatenate(
        [own[..., :count].astype(np.uint8) * 255, eight_bits(own[..., count:])], 2
    )


def _marked(mask: np.ndarray) -> Marked:
    channels = mask.shape[2]
    if channels in (2, 4):
        colours, alpha = mask[..., :-1], mask[..., -1]
        low, high = int(alpha.min()), int(alpha.max())
        if high - low >= FLAT_ALPHA:
            visible = alpha > (low + high) / 2
            if is_paint(colours[visible], visible.mean()):
                return Marked(visible, "painted")
            return Marked(~visible, "transparent")
    else:
        colours = mask
    return Marked(colours.max(axis=2) >= HOLE_FROM)


def is_paint(colours: np.ndarray, share: float) -> bool:
    """Returns whether the visible pixels of a layer, uint8 (N, C), were painted on it.

    share: the visible share of the layer.
    """
    bright = colours.max(axis=1) >= HOLE_FROM
    if share > PAINT_SHARE or 2 * bright.sum() < len(colours):
        return False
    coarse = (colours >> 3).astype(np.uint32) @ (32 ** np.arange(colours.shape[1], dtype=np.uint32))
    _, counts = np.unique(coarse, return_counts=True)
    return np.sort(counts)[-PAINT_COLOURS:].sum() >= NEARLY_ALL * len(colours)


def percent(hole: np.ndarray) -> str:
    """Returns in words how much of its picture a hole is; small shares keep a digit."""
    share = 100 * hole.mean()
    digits = 1 if share >= 0.1 else 2 if share >= 0.01 else 4
    return f"{share:.{digits}f} % of the picture"


def filled_with(picture: Picture, own: np.ndarray, mask: Marked) -> Picture:
    """Returns the result of a fill, with what is said of it.

    That is how much was filled, how the mask shows the hole, and the notes on picture and mask.

    own: as `picture.own`. mask: the hole as it was filled.
    """
    where = "" if mask.how == "white" else f", where the mask is {mask.how}"
    notes = *picture.notes, *(f"the mask: {note}" for note in mask.notes)
    return Picture(own, picture.profile, notes, percent(mask.hole) + where)


def check_hole(hole: np.ndarray, name: str = "the mask", invert: bool = False) -> None:
    """Raises UnusableImage where nothing is to be filled, or nothing of the picture is known."""
    if hole.all():
        raise UnusableImage(f"{name} is all hole; {rule(invert)}")
    if not hole.any():
        raise UnusableImage(f"{name} marks nothing; {rule(invert)}")


def rule(invert: bool = False) -> str:
    """Returns in words which part of a mask is filled."""
    return "black is filled, white kept" if invert else "white is filled, black kept"


def check_shape(mask: tuple[int, int], picture: tuple[int, int], name: str = "the mask") -> None:
    """Raises UnusableImage where a mask, (height, width), is not of its picture's size."""
    if mask != picture:
        (height, width), (rows, columns) = mask, picture
        raise UnusableImage(f"{name} is {width} x {height}, the picture {columns} x {rows}")
