"""Measures the search for dust: `python -m tools.dust_shares PHOTOS MASKS`.

Draws light dust of the masks into photographs and finds it. Prints how much of it was found, and
what else was marked. PHOTOS and MASKS are folders or zips.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from maskgit.data.dust import find_dust
from pipeline.bench.repairs import laid_over, read_masks, read_photos

NEAR = np.ones((5, 5), np.uint8)  # what is marked two pixels from dust is no mistake


def dusty(photo: np.ndarray, dust: np.ndarray, seed: int) -> np.ndarray:
    """Returns a photograph, uint8 (H, W, 3), with light dust, soft at its edges, and some grain."""
    rng = np.random.default_rng(seed)
    opacity = cv2.GaussianBlur(rng.uniform(0.6, 1) * dust.astype(np.float32), (0, 0), 0.6)
    drawn = photo + opacity[..., None] * (rng.uniform(200, 250) - photo)
    drawn += rng.normal(0, 3, photo.shape)
    return drawn.clip(0, 255).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("masks", type=Path)
    arguments = parser.parse_args()
    masks = read_masks(arguments.masks)
    specks, hit, right, there, wrong, clean = np.zeros(6)
    for number, (_, photo) in enumerate(read_photos(arguments.photos)):
        dust = laid_over(masks[number % len(masks)], photo.shape[:2])
        found = find_dust(dusty(photo, dust, number))
        count, labels = cv2.connectedComponents(dust.astype(np.uint8))
        beside = cv2.dilate(dust.astype(np.uint8), NEAR) > 0
        specks, hit = specks + count - 1, hit + len(np.unique(labels[found & dust]))
        right, there = right + (found & dust).sum(), there + dust.sum()
        wrong, clean = wrong + (found & ~beside).sum(), clean + (~beside).sum()
    print(f"found: {hit / specks:.0%} of {specks:.0f} specks, {right / there:.0%} of their pixels")
    print(f"marked by mistake: {wrong / clean:.1%} of the rest")


if __name__ == "__main__":
    main()
