"""Property tests draw the same examples every time, and time never decides a test.

Tests run in a random order, which their seed repeats. No test may depend on the order: before each,
`random` and NumPy are seeded by pytest-randomly, and torch here.
"""

import hashlib
import os
import pickle
import resource
import sys

import pytest
import torch
from filelock import FileLock
from hypothesis import HealthCheck, settings
from torch import nn

from maskgit.scoring import published
from maskgit.scoring.torchvision_import import import_torchvision
from maskgit.tokenizer.vqgan import VQGAN
from maskgit.transformer.guidance import GuidedTransformer
from maskgit.transformer.model import MaskedTransformer
from tests.clone import Clone
from tests.small_models import FSQ, save_small_models

settings.register_profile(
    "project", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("project")


def pytest_runtest_setup():
    torch.manual_seed(0)


def pytest_runtest_call():  # else fixtures that are shared would have drawn for the first alone
    torch.manual_seed(0)


def pytest_terminal_summary(terminalreporter, config):
    """The order's seed, and the peak of memory: what grows without end shows here first."""
    seed = config.getoption("randomly_seed")
    terminalreporter.write_line(f"order of the tests: --randomly-seed={seed}")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes
    peaks = (
        resource.getrusage(who).ru_maxrss * unit / 1e9
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    terminalreporter.write_line(f"peak memory of the largest process: {max(peaks):.2f} GB")


def small_pair(cell, **quantizer):
    """A small tokenizer and transformer with random weights: laws hold for any weights."""
    torch.manual_seed(0)
    sizes = {"channels": 16, "decoder_blocks": 1, "latent_dim": 4, "codebook_size": 32}
    tokenizer = VQGAN(**sizes | quantizer)
    codes = tokenizer.codebook.unit_vectors
    transformer = MaskedTransformer(
        codebook_size=len(codes),
        latent_dim=codes.shape[1],
        **{"grid": 16, "cell": cell, "dim": 16, "heads": 2, "layers": 1},
    )
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    transformer.set_codebook(codes)
    return tokenizer, transformer


@pytest.fixture(scope="session")
def models():
    return small_pair(cell=4)


@pytest.fixture(scope="session")
def fsq_models():
    """As `models`, with finite scalar quantization in place of a codebook."""
    return small_pair(cell=4, quantizer="fsq", codebook_size=64)


@pytest.fixture(scope="session")
def token_models():
    """As `models`, but that the transformer sees tokens only."""
    return small_pair(cell=0)


@pytest.fixture(scope="session")
def guided_models():
    """As `models`, with a guide beside the transformer."""
    tokenizer, transformer = small_pair(cell=4)
    sizes = {"cell": 4, "dim": 16, "heads": 2, "layers": 1}
    guided = GuidedTransformer(codebook_size=32, latent_dim=4, grid=16, **sizes)
    guide = MaskedTransformer(codebook_size=32, latent_dim=4, grid=16, **sizes)
    for parameter in guide.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    guide.set_codebook(tokenizer.codebook.embedding)
    return tokenizer, guided.copy_weights(transformer, guide)


@pytest.fixture(scope="session")
def small_models(tmp_path_factory):
    """A folder with them in the places of a finished pipeline, to be copied, not changed."""
    folder = tmp_path_factory.mktemp("small_models")
    save_small_models(folder)
    return folder


@pytest.fixture(scope="session")
def small_fsq_models(tmp_path_factory):
    """As `small_models`, with finite scalar quantization in place of a codebook."""
    folder = tmp_path_factory.mktemp("small_fsq_models")
    save_small_models(folder, FSQ)
    return folder


@pytest.fixture(scope="session")
def finished_clone(tmp_path_factory):
    """A clone in which `dvc repro` has run, to be copied, not changed; `output` is what it said.

    The first process that asks makes it for all.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    made = shared / "finished.pickle"
    with FileLock(shared / "finished.lock"):
        if not made.exists():
            (shared / "finished").mkdir()
            clone = Clone(shared / "finished", few_steps=True)
            clone.output = clone.run("dvc", "repro")
            clone.commit("first run")
            made.write_bytes(pickle.dumps(clone))
    return pickle.loads(made.read_bytes())


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory):
    """A file like that of the official FID weights, but random."""
    import_torchvision()
    from torchvision.models import inception_v3

    torch.manual_seed(0)
    network = inception_v3(num_classes=1008, aux_logits=False, weights=None, init_weights=False)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    path = tmp_path_factory.mktemp("weights") / published.FID_WEIGHTS.name
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture
def random_weights_pass_as_official(monkeypatch, random_weights):
    digest = hashlib.sha256(random_weights.read_bytes()).hexdigest()
    monkeypatch.setattr(published, "FID_WEIGHTS", published.FID_WEIGHTS._replace(sha256=digest))
