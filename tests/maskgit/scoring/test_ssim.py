"""Structural similarity on a device, here run on the processor: that of scikit-image."""

import numpy as np
import pytest
import torch

from maskgit.scoring import pixel_errors, scores
from maskgit.scoring.features import Extractor
from maskgit.scoring.score import Evaluation
from maskgit.scoring.ssim import BATCH, ssim

CPU = torch.device("cpu")


def test_it_is_that_of_the_processor(images, hole):
    output, truth = images
    hole[2] = False
    expected = pixel_errors.ssim(output, truth, hole)
    np.testing.assert_allclose(ssim(output, truth, hole, CPU), expected, atol=1e-6, rtol=0)


def test_it_is_that_of_the_processor_on_flat_pictures_and_the_smallest_ones():
    flat = np.full((1, 11, 12, 3), 200, dtype=np.uint8)
    near = flat.copy()
    near[:, 3:8, 3:8] += 1
    everywhere = np.ones((1, 11, 12), dtype=bool)
    expected = pixel_errors.ssim(near, flat, everywhere)
    np.testing.assert_allclose(ssim(near, flat, everywhere, CPU), expected, atol=1e-6, rtol=0)


def test_no_picture_depends_on_its_batch():
    rng = np.random.default_rng(0)
    output, truth = rng.integers(256, size=(2, BATCH + 2, 12, 12, 3), dtype=np.uint8)
    hole = rng.random((BATCH + 2, 12, 12)) < 0.5
    alone = [ssim(*(part[i : i + 1] for part in (output, truth, hole)), CPU) for i in (0, BATCH)]
    together = ssim(output, truth, hole, CPU)
    np.testing.assert_allclose(together[[0, BATCH]], np.concatenate(alone))
    assert ssim(output[:0], truth[:0], hole[:0], CPU).shape == (0,)


@pytest.mark.parametrize(("kind", "batched"), [("cpu", False), ("mps", False), ("cuda", True)])
def test_a_device_with_float64_scores_a_batch_at_once(monkeypatch, images, hole, kind, batched):
    monkeypatch.setattr("maskgit.scoring.ssim.ssim", lambda *given, device: np.full(4, 7.0))
    extractor = Extractor("none", "", torch.nn.Module(), torch.device(kind))
    output, truth = images
    found = scores._ssim(Evaluation([output], truth, hole, np.empty(0), extractor))
    expected = np.full(4, 7.0) if batched else pixel_errors.ssim(output, truth, hole)
    assert np.array_equal(found, expected)
