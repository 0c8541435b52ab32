import hashlib

import numpy as np
import pytest
import torch

from maskgit.scoring import published
from maskgit.scoring.lpips_network import lpips_network
from maskgit.scoring.perceptual_errors import BATCH, lpips_errors
from maskgit.scoring.torchvision_import import import_torchvision


@pytest.fixture(scope="module")
def backbone():
    """torchvision's AlexNet with random weights."""
    import_torchvision()
    from torchvision.models import alexnet

    torch.manual_seed(0)
    return alexnet(weights=None)


@pytest.fixture(scope="module")
def weights(backbone, tmp_path_factory):
    """They, in a file like the official one, but for the classifier, most of it."""
    path = tmp_path_factory.mktemp("weights") / published.ALEXNET.name
    state = backbone.state_dict()
    torch.save({name: state[name] for name in state if name.startswith("features.")}, path)
    return path


@pytest.fixture
def network(weights, monkeypatch):
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    monkeypatch.setattr(published, "ALEXNET", published.ALEXNET._replace(sha256=digest[:8]))
    monkeypatch.setattr(torch.hub, "download_url_to_file", None)  # a download would fail
    return lpips_network(weights)


@pytest.fixture(scope="module", params=[(31, 31), (64, 64), (48, 70)], ids=str)
def images(request):
    """More than a batch of random images and their noisy copies."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (BATCH + 3, *request.param, 3), dtype=np.uint8)
    noise = rng.integers(-60, 61, truth.shape)
    return np.clip(truth + noise, 0, 255).astype(np.uint8), truth


def distances(output, truth, network):
    return lpips_errors(output, truth, np.ones(truth.shape[:3], dtype=bool), network)


def test_it_is_what_package_lpips_publishes(images, network, backbone, monkeypatch):
    import lpips

    def alexnet(pretrained):
        assert pretrained
        return backbone

    monkeypatch.setattr("torchvision.models.alexnet", alexnet)
    published = lpips.LPIPS(net="alex", verbose=False)
    with torch.no_grad():
        expected = [
            published(*map(lpips.im2tensor, pair)).item() for pair in zip(*images, strict=True)
        ]
    assert np.std(expected) > 1e-4, "distances that do not vary would prove nothing"
    np.testing.assert_allclose(distances(*images, network), expected, rtol=1e-4)


def test_it_is_a_distance_and_of_each_pair_alone(images, network):
    output, truth = images
    found = distances(output, truth, network)
    assert found.dtype == np.float64 and (found > 0).all()
    np.testing.assert_array_equal(distances(truth, truth, network), 0)
    np.testing.assert_allclose(distances(truth, output, network), found, rtol=1e-6)
    np.testing.assert_allclose(distances(output[-2:], truth[-2:], network), found[-2:], rtol=1e-4)
    assert distances(output[:0], truth[:0], network).shape == (0,)


def test_any_other_file_is_refused(weights, tmp_path):
    with pytest.raises(
        ValueError, match=rf"is not the official {published.ALEXNET.name}: its sha256"
    ):
        lpips_network(weights)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        lpips_network(tmp_path / published.ALEXNET.name)
