"""Two processes do the work of one: each its share, and what they learn is the same on both.

This file runs twice: pytest starts it again under torchrun, where it writes what each rank found.
"""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.distributed.distributed_c10d import Backend, BackendConfig

from maskgit import ranks
from maskgit.data.cats.cat import draw_cat
from maskgit.perception import PerceptualLoss
from maskgit.scoring.features import Extractor
from maskgit.tokenizer.settings import TokenizerTraining
from maskgit.tokenizer.training import TokenizerTrainer
from maskgit.tokenizer.vqgan import VQGAN
from maskgit.training.trainer import RandomGenerators, ShuffledBatches, metric_values

RANKS = 2
HOW = TokenizerTraining(
    steps=6,  # of which the last two are with settled codes
    batch_size=4,
    learning_rate=1e-3,
    warmup=1,
    commitment_weight=0.25,
    perceptual_weight=0.0,
    adversarial_weight=0.2,
    discriminator_start=1 / 3,
    evaluations=1,
)


def linear_gradient(rows):
    """Of a small linear regression on these rows of a fixed problem."""
    torch.manual_seed(0)
    model, inputs, truth = torch.nn.Linear(3, 2), torch.randn(8, 3), torch.randn(8, 2)
    F.mse_loss(model(inputs[rows]), truth[rows]).backward()
    ranks.average_gradients(model)
    return model.weight.grad


def number_extractor():
    """Each image's features are its first pixel, three times."""
    network = torch.nn.Module()
    network.forward = lambda images: images[:, :, 0, 0].float()
    return Extractor("numbers", "", network, torch.device("cpu"))


def numbered_images(count):
    return np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)


def small_trainer(**quantizer):
    torch.manual_seed(0)
    cats = np.stack([draw_cat(np.random.default_rng(i), 64) for i in range(12)])
    sizes = {"channels": 16, "decoder_blocks": 1, "latent_dim": 4, "codebook_size": 32}
    model = VQGAN(**sizes | quantizer)
    return TokenizerTrainer(model, cats, cats[:2], HOW, PerceptualLoss(), seed=0)


def found_by_this_rank():
    generators = RandomGenerators(0, torch.device("cpu"))
    draws = generators.numpy.random(), torch.rand(1).item()
    generators, trainer = RandomGenerators(0, torch.device("cpu")), small_trainer()
    batches = ShuffledBatches(10, 4, generators.numpy)
    metrics = [metric_values(trainer.step()) for _ in range(HOW.steps)]
    other = small_trainer(quantizer="fsq", codebook_size=64)
    for _ in range(HOW.steps):
        other.step()
    return {
        "share": list(ranks.shard(range(5))),
        "joined": ranks.gather_shards(list(ranks.shard(range(5)))),
        "batches": [next(batches).tolist() for _ in range(10)],
        "draws": draws,
        "mean": ranks.all_reduce_mean({"a": float(ranks.rank())}),
        "largest": ranks.all_reduce_max(ranks.rank(), 5 - ranks.rank()),
        "gradient": linear_gradient(ranks.shard(range(8))),
        "features": number_extractor()(numbered_images(21)).tolist(),
        "model": trainer.model.state_dict(),
        "discriminator": trainer.adversary.discriminator.state_dict(),
        "other": other.model.state_dict(),
        "losses": [row["adversarial_loss"] for row in metrics[2:]],
    }


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*torchrun, "--nproc-per-node", str(RANKS), "-m", "tests.maskgit.test_ranks", folder]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    return [torch.load(folder / f"{rank}.pt") for rank in range(RANKS)]


def test_each_rank_has_its_share_and_joined_they_are_all(found):
    assert [each["share"] for each in found] == [[0, 2, 4], [1, 3]]
    assert all(each["joined"] == [0, 1, 2, 3, 4] for each in found)


@given(items=st.lists(st.integers()))
def test_alone_a_process_has_everything(items):
    assert ranks.shard(items) == items
    assert ranks.gather_shards(items) == items
    assert (ranks.rank(), ranks.world_size()) == (0, 1)


def test_the_ranks_share_the_batches_of_one_order(found):
    shared = [[row for pair in zip(*rows, strict=True) for row in pair] for rows in batches(found)]
    for epoch in np.reshape(shared, (-1, 10)):
        assert sorted(epoch) == list(range(10))


def batches(found):
    return list(zip(*[each["batches"] for each in found], strict=True))


def test_each_rank_draws_for_itself_and_the_first_as_if_alone(found):
    first, second = [each["draws"] for each in found]
    assert first[0] != second[0] and first[1] != second[1]
    generators = RandomGenerators(0, torch.device("cpu"))
    alone = ShuffledBatches(10, 4, generators.numpy)
    for rows in batches(found):
        assert next(alone)[::2].tolist() == rows[0]


def test_means_and_maxima_are_over_all_ranks(found):
    assert all(each["mean"] == {"a": 0.5} and each["largest"] == [1, 5] for each in found)


def test_the_gradient_is_that_of_the_whole_batch(found):
    for each in found:
        torch.testing.assert_close(each["gradient"], linear_gradient(range(8)))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_group_has_a_backend_for_cpu_tensors_and_for_those_of_its_device(device):
    chosen = BackendConfig(Backend(ranks.backends(torch.device(device))))
    assert set(chosen.get_device_backend_map()) == {"cpu", device}


def test_features_are_those_of_one_process_in_image_order(found):
    alone = number_extractor()(numbered_images(21)).tolist()
    assert all(each["features"] == alone for each in found)


def test_both_ranks_train_the_same_tokenizer_and_discriminator(found):
    first, second = found
    for part in ("model", "discriminator", "other"):
        for name, value in first[part].items():
            assert torch.equal(value, second[part][name]), name
    start = small_trainer().model.state_dict()
    assert not torch.equal(first["model"]["codebook.embedding"], start["codebook.embedding"])
    assert np.isfinite(first["losses"]).all()


if __name__ == "__main__":
    with ranks.group(torch.device("cpu"), timedelta(minutes=5)):
        torch.save(found_by_this_rank(), Path(sys.argv[1]) / f"{ranks.rank()}.pt")
