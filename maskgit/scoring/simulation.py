"""Samplers whose quality is known, to hold distances and verdicts against.

The features of an image are c + r: c is what the known pixels fix, r what the hole leaves open,
both Gaussian with a spectrum that falls like a power of the rank, as those of images do. A perfect
sampler draws another r; one of too little spread draws `spread` times such an r; a blurry one fills
in the mean, r = 0. Their true Fréchet distances are known in closed form.

What it shows: fills come in pairs with their truths, whose c they share. The bias of the Fréchet
distance of n pairs grows with the spread of the fills: of 128 images it ranks the blurry sampler
first and the perfect one last, and only of thousands rightly. The kernel distance has no bias.
"""

import numpy as np

FEATURES = 1280
RATE = 0.6  # of the spectrum's fall
OPEN = 0.35  # share of the variance that the hole leaves open

SPREADS = {"perfect": 1.0, "too little spread": 0.7, "blurry": 0.0}


def scales() -> np.ndarray:
    """Standard deviations of the features, float64 (FEATURES,), mean square 1."""
    falling = np.arange(1, FEATURES + 1.0) ** -RATE
    return falling * np.sqrt(FEATURES / np.sum(falling**2))


def true_frechet(spread: float) -> float:
    """Squared Fréchet distance between all fills of a sampler and all true images."""
    kept = 1 - OPEN + OPEN * spread**2
    return float(np.sum(scales() ** 2) * (1 - np.sqrt(kept)) ** 2)


def draw(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Features of n true images, and what their known pixels fix of them: (n, FEATURES) each."""
    normal = scales() * rng.standard_normal((2, n, FEATURES))
    fixed = np.sqrt(1 - OPEN) * normal[0]
    return fixed + np.sqrt(OPEN) * normal[1], fixed


def fill(fixed: np.ndarray, spread: float, rng: np.random.Generator) -> np.ndarray:
    """Features of a sampler's fills of the same images."""
    return fixed + spread * np.sqrt(OPEN) * scales() * rng.standard_normal(fixed.shape)
