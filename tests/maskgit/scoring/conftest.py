import numpy as np
import pytest


@pytest.fixture
def images():
    """Four random images and their noisy copies."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (4, 32, 24, 3), dtype=np.uint8)
    noise = rng.integers(-20, 21, truth.shape)
    return np.clip(truth + noise, 0, 255).astype(np.uint8), truth


@pytest.fixture
def hole():
    hole = np.zeros((4, 32, 24), dtype=bool)
    hole[:, 8:24, 6:18] = True
    return hole
