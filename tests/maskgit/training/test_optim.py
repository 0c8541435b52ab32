import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from maskgit.pixels import to_float, to_uint8
from maskgit.training.optim import Muon, orthogonalise, update_ema, warmup_cosine


@given(steps=st.integers(2, 500), warmup=st.integers(1, 100))
def test_the_learning_rate_rises_then_falls(steps, warmup):
    rates = [warmup_cosine(step, steps, warmup) for step in range(steps)]
    peak = int(np.argmax(rates))
    assert 0 < rates[0] <= 1 and max(rates) <= 1
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


@pytest.mark.parametrize("shape", [(8, 8), (6, 20), (20, 6)])
def test_orthogonalised_matrices_have_singular_values_near_one(shape):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(3, *shape)))
    assert values.min() > 0.5 and values.max() < 1.3


def test_muon_does_what_torch_does():
    """torch.optim.Muon works in bf16, so equal to two digits is all that can be asked."""
    torch.manual_seed(0)
    start, gradient = torch.randn(12, 30), torch.randn(12, 30)
    ours, theirs = (nn.Parameter(start.clone()) for _ in range(2))
    a = Muon([ours], lr=0.1, weight_decay=0.1)
    b = torch.optim.Muon(
        [theirs], lr=0.1, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"
    )
    ours.grad, theirs.grad = gradient.clone(), gradient.clone()
    a.step()
    b.step()
    moved, expected = ours.detach() - start, theirs.detach() - start
    assert (moved - expected).norm() / expected.norm() < 0.1


def test_the_average_follows_the_model():
    model, average = nn.Linear(3, 3), nn.Linear(3, 3)
    for step in range(200):
        update_ema(average, model, step, decay=0.9)
    torch.testing.assert_close(average.weight, model.weight)


def test_pixels_survive_the_way_to_floats_and_back():
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    floats = to_float(images, torch.device("cpu"))
    assert floats.min() == -1 and floats.max() == 1
    assert np.array_equal(to_uint8(floats), images)
