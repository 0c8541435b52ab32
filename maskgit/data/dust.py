"""Finds dust in a picture: light specks, hairs and scratches, as on scans of film and prints.

A white top-hat (Serra, 1982) shows what is lighter than all around it and thinner than THICK
pixels. Leaves and hair show in it, too, so a pixel must stand out from the texture near it.
"""

import cv2
import numpy as np
from scipy.ndimage import percentile_filter
from skimage.filters import apply_hysteresis_threshold

THICK = 9  # pixels; thicker spots are not found
LIGHTER = 20.0  # least difference from the surroundings, in levels of 255
OVER_TEXTURE = 4.0  # the same in units of the texture, a percentile of the top-hat near by
TEXTURE, NEAR, COARSER = 75, 40, 4  # the percentile, the side of its window, and their scale
LARGEST = 1536  # pixels of the longer side at which a picture is searched


def find_dust(picture: np.ndarray, dark: bool = False) -> np.ndarray:
    """Returns where a picture, uint8 (H, W, 3), has dust, bool (H, W).

    dark: finds dark dust instead. A picture larger than LARGEST is scaled down for the search. The
    result is a pixel wider than what was found, since the edges of dust are soft.
    """
    height, width = picture.shape[:2]
    scale = min(1.0, LARGEST / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(255 - picture if dark else picture, size, interpolation=cv2.INTER_AREA)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (THICK, THICK))
    lighter = cv2.morphologyEx(small, cv2.MORPH_TOPHAT, disc).min(axis=2)  # in all three colours
    coarse = max(1, size[0] // COARSER), max(1, size[1] // COARSER)
    coarse = cv2.resize(lighter, coarse, interpolation=cv2.INTER_AREA)
    texture = cv2.resize(percentile_filter(coarse, TEXTURE, NEAR // COARSER), size)
    least = np.maximum(LIGHTER, OVER_TEXTURE * texture)
    found = apply_hysteresis_threshold(lighter, least / 2, least).astype(np.uint8)
    wider = cv2.dilate(found, np.ones((3, 3), np.uint8))
    return cv2.resize(wider, (width, height), interpolation=cv2.INTER_NEAREST) > 0
