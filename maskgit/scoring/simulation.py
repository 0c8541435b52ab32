"""Simulates samplers of known quality, to test distances and verdicts.

The features of an image are c + r: c is determined by the known pixels, r is open in the hole. Both
are Gaussian with a spectrum that falls by a power of the rank, as that of images. A perfect sampler
draws another r. A sampler of too little spread draws `spread` times another r. A blurry sampler
fills in the mean, r = 0. Their true Fréchet distances have a closed form.

Result: fills are paired with true images, whose c they share. The bias of the Fréchet distance of n
pairs grows with the spread of the fills. With 128 images it ranks the blurry sampler first and the
perfect one last; only with thousands is the order right. The kernel distance has no bias.
"""

import numpy as np

FEATURES = 1280
RATE = 0.6  # negative exponent of the spectrum
OPEN = 0.35  # share of the variance that known pixels do not determine

SPREADS = {"perfect": 1.0, "too little spread": 0.7, "blurry": 0.0}


def scales() -> np.ndarray:
    """Returns the standard deviations of the features, float64 (FEATURES,), mean square 1."""
    falling = np.arange(1, FEATURES + 1.0) ** -RATE
    return falling * np.sqrt(FEATURES / np.sum(falling**2))


def true_frechet(spread: float) -> float:
    """Returns the true squared Fréchet distance of a sampler's fills to true images."""
    kept = 1 - OPEN + OPEN * spread**2
    return float(np.sum(scales() ** 2) * (1 - np.sqrt(kept)) ** 2)


def draw(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws features of n true images, and their part c of the known pixels, (n, FEATURES) each."""
    normal = scales() * rng.standard_normal((2, n, FEATURES))
    fixed = np.sqrt(1 - OPEN) * normal[0]
    return fixed + np.sqrt(OPEN) * normal[1], fixed


def fill(fixed: np.ndarray, spread: float, rng: np.random.Generator) -> np.ndarray:
    """Draws features of a sampler's fills of the same images, (n, FEATURES)."""
    return fixed + spread * np.sqrt(OPEN) * scales() * rng.standard_normal(fixed.shape)
