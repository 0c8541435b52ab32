"""Classic inpainting methods without learning, for comparison.

Settings are checked against the names in `BASELINES`, so this module imports the libraries that
fill only when they are used.
"""

from collections.abc import Callable

import numpy as np

Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]

MID_GREY = 128


def mean_colour(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Fills with the mean colour of the known pixels; see BASELINES for the arrays."""
    return _fill(_mean_colour, image, hole)


def telea(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Fills inwards from the edge by averages of known pixels within 3 pixels; see BASELINES.

    Telea 2004, "An image inpainting technique based on the fast marching method", as in OpenCV.
    """
    return _fill(_telea, image, hole)


def biharmonic(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Fills with a smooth surface whose bi-Laplacian is zero; see BASELINES.

    Damelin & Hoang 2018, doi:10.1155/2018/3950312, as in scikit-image.
    """
    return _fill(_biharmonic, image, hole)


def patchmatch(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Fills with known patches of 7 x 7 pixels that fit each other and the edge; see BASELINES.

    Barnes et al. 2009, "PatchMatch: a randomized correspondence algorithm for structural image
    editing", as in PyPatchMatch. It copies texture; the other
    methods smooth.
    """
    return _fill(_patchmatch, image, hole)


BASELINES: dict[str, Fill] = {
    "mean_colour": mean_colour,
    "telea": telea,
    "biharmonic": biharmonic,
    "patchmatch": patchmatch,
}
"""The baselines by name. Each is a function of

    image: uint8 RGB, (H, W, 3); its pixels in the hole are not read,
    hole: bool, (H, W), True = to be filled,

that returns a new uint8 image (H, W, 3) with known pixels bit for bit. Without known pixels the
image is mid-grey. Raises ValueError where shapes or dtypes do not fit.
"""

BOUNDS = ("tokenizer", "true_images")
"""Rows of the tables that bound what methods can reach: the tokenizer's, and other true images."""


def _fill(method: Fill, image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Applies a method to checked arrays, handles empty and full holes, and keeps known pixels."""
    if image.dtype != np.uint8 or hole.dtype != bool or image.shape != (*hole.shape, 3):
        raise ValueError(
            "image must be uint8 (H, W, 3) and hole bool (H, W), "
            f"not {image.dtype} {image.shape} and {hole.dtype} {hole.shape}"
        )
    if hole.all():
        return np.full_like(image, MID_GREY)
    if not hole.any():
        return image.copy()
    blanked = np.where(hole[..., None], np.uint8(0), image)
    return np.where(hole[..., None], method(blanked, hole), image)


def _mean_colour(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    return _to_uint8(image[~hole].mean(axis=0))


def _telea(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.inpaint(image, hole.astype(np.uint8), inpaintRadius=3, flags=cv2.INPAINT_TELEA)


def _biharmonic(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    from skimage.restoration import inpaint_biharmonic

    # A copy of the hole: scikit-image cannot take read-only memory.
    return _to_uint8(255 * inpaint_biharmonic(image, hole.copy(), channel_axis=-1))


def _patchmatch(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    import patchmatch as pypatchmatch

    pypatchmatch.set_random_seed(0)  # the same fill at every call
    return pypatchmatch.inpaint(image, hole, patch_size=3)


def _to_uint8(levels: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)
