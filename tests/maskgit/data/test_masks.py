"""One rule for masks: what people draw is what is filled."""

import numpy as np
import pytest
from PIL import Image

from maskgit.data.image_files import Picture, picture_of
from maskgit.data.masks import marked

WHERE = np.zeros((40, 50), dtype=bool)
WHERE[10:20, 15:35] = True
PHOTO = np.random.default_rng(0).integers(256, size=(40, 50, 3), dtype=np.uint8)


def layer(colours, opaque):
    """uint8 (40, 50, 4): colours where it is opaque, clear elsewhere."""
    filled = np.broadcast_to(np.asarray(colours, np.uint8), (40, 50, 3))
    alpha = np.where(opaque, 255, 0).astype(np.uint8)[..., None]
    return np.concatenate([filled * (alpha > 0), alpha], axis=2).astype(np.uint8)


def brush(*colour):
    return np.where(WHERE[..., None], np.array(colour), 0).astype(np.uint8)


MASKS = {
    "white on black": (brush(255, 255, 255), "white"),
    "red on black": (brush(255, 0, 0), "white"),
    "blue on black": (brush(0, 0, 255), "white"),
    "0 and 1, uint8": (WHERE.astype(np.uint8), "white"),
    "0 and 1, uint16": (WHERE.astype(np.uint16), "white"),
    "0 and 1, uint8 RGBA": (np.dstack([*[WHERE.astype(np.uint8)] * 3, WHERE | True]), "white"),
    "white strokes on a clear layer": (layer((255, 255, 255), WHERE), "painted"),
    "red strokes on a clear layer": (layer((255, 0, 0), WHERE), "painted"),
    "half opaque red strokes": (layer((255, 0, 0), WHERE) // [1, 1, 1, 2], "painted"),
    "a photo with a part erased": (layer(PHOTO, ~WHERE), "transparent"),
    "black with a part erased": (layer((0, 0, 0), ~WHERE), "transparent"),
    "white with a part erased": (layer((255, 255, 255), ~WHERE), "transparent"),
    "opaque alpha says nothing": (np.dstack([brush(255, 255, 255), WHERE | True]), "white"),
}


@pytest.mark.parametrize(("mask", "how"), MASKS.values(), ids=MASKS)
def test_what_people_draw_is_the_hole(mask, how):
    own = np.atleast_3d(mask)
    if own.shape[2] == 4 and how == "white":
        own = np.dstack([own[..., :3], np.full((40, 50), 255)])
    own = own.astype(np.uint16 if mask.dtype == np.uint16 else np.uint8)
    found = marked(Picture(own))
    assert found.how == how
    assert np.array_equal(found.hole, WHERE)


def test_a_photo_mostly_erased_keeps_what_is_left_of_it():
    assert np.array_equal(marked(Picture(layer(PHOTO, WHERE))).hole, ~WHERE)


def test_a_palette_of_0_and_1_is_a_mask():
    image = Image.fromarray(WHERE.astype(np.uint8)).convert("P")
    image.putpalette([0, 0, 0, 1, 1, 1])
    assert np.array_equal(marked(picture_of(image)).hole, WHERE)


def test_a_mask_of_zeros_marks_nothing():
    for channels in (1, 3, 4):
        assert not marked(Picture(np.zeros((8, 8, channels), np.uint8))).hole.any()
