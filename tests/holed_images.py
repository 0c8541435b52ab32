"""Images with holes, for property tests of whatever fills them."""

import numpy as np
from hypothesis import strategies as st

seeds = st.integers(0, 2**32)


@st.composite
def batches(draw, least=1):
    """Noise uint8 (N, 64, 64, 3), holes bool (N, 64, 64): a rectangle each, some also scattered."""
    rng = np.random.default_rng(draw(seeds))
    count = draw(st.integers(least, 4))
    images = rng.integers(256, size=(count, 64, 64, 3), dtype=np.uint8)
    hole = np.zeros((count, 64, 64), dtype=bool)
    for one in hole:
        top, left, height, width = rng.integers(0, 65, size=4)
        one[top : top + height, left : left + width] = True
    hole |= rng.random(hole.shape) < rng.choice([0, 0.001])
    return images, hole
