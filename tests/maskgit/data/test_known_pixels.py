import pytest
import torch

from maskgit.data.known_pixels import KnownPixelEmbedding


@pytest.mark.parametrize("step", [2, 4, 8, 16])
def test_in_half_precision_it_sees_the_same(step):
    torch.manual_seed(0)
    look, known = KnownPixelEmbedding(64, step), torch.randn(2, 4, 16 * step, 16 * step)
    with torch.autocast("cpu", torch.bfloat16):
        half = look(known).float()
    error = (half - look(known)).norm() / look(known).norm()
    assert error < 0.02
