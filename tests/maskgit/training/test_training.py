"""Both trainings learn, and repeat themselves bit for bit."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from maskgit.data.cats.cat import draw_cats
from maskgit.inpainting.inpainter import Inpainter, image_generators
from maskgit.perception import PerceptualLoss
from maskgit.schedules import SCHEDULES
from maskgit.tokenizer.training import TokenizerTrainer, TokenizerTraining
from maskgit.tokenizer.vqgan import VQGAN
from maskgit.training import optim
from maskgit.transformer.masking import fixed_batches
from maskgit.transformer.model import MaskedTransformer
from maskgit.transformer.training import TransformerTrainer, TransformerTraining

TOKENIZER = TokenizerTraining(
    steps=16,
    batch_size=8,
    learning_rate=4e-3,
    warmup=2,
    commitment_weight=0.25,
    perceptual_weight=0.0,
    adversarial_weight=0.0,
    discriminator_start=8,
    evaluate_every=8,
    seed=3,
)
TRANSFORMER = TransformerTraining(
    steps=40,
    batch_size=8,
    learning_rate=1e-2,
    warmup=4,
    weight_decay=0.0,
    label_smoothing=0.1,
    gradient_clip=1.0,
    ema_decay=0.9,
    hole_share=0.5,
    evaluate_every=20,
    seed=3,
)


@pytest.fixture(scope="module")
def cats():
    return draw_cats(40, seed=0)


def finish(trainer):
    """Does all steps that are left; (step, metrics) of each."""
    records = []
    while trainer.done < trainer.steps:
        metrics = trainer.step()
        records.append((trainer.done, metrics))
    return records


def tokenizer_trainer(cats, perceptual=None, **changes):
    torch.manual_seed(0)
    model = VQGAN(channels=16, decoder_blocks=1, codebook_size=32)
    how = dataclasses.replace(TOKENIZER, **changes)
    return TokenizerTrainer(model, cats[:32], cats[32:], how, perceptual)


def tokenizer_run(cats, perceptual=None, **changes):
    trainer = tokenizer_trainer(cats, perceptual, **changes)
    return trainer.model, finish(trainer)


def assert_equal_weights(a, b):
    for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
        assert torch.equal(x, y)


def test_the_tokenizer_learns_and_repeats_itself(cats):
    model, records = tokenizer_run(cats)
    evaluated = {step: metrics for step, metrics in records if "val_psnr" in metrics}
    assert list(evaluated) == [8, 16]
    assert evaluated[16]["val_psnr"] > evaluated[8]["val_psnr"]
    assert 0 < evaluated[16]["codebook_usage"] <= 1
    assert 1 <= evaluated[16]["codebook_perplexity"] <= 32
    assert_equal_weights(model, tokenizer_run(cats)[0])


@pytest.fixture
def bf16(monkeypatch):
    """Half precision whatever the processor: slow on most, but it must work everywhere."""
    monkeypatch.setattr(optim, "bf16_pays", lambda device: True)


def test_both_models_learn_and_fill_in_half_precision(bf16, cats, stripes):
    tokenizer, records = tokenizer_run(cats, PerceptualLoss(), adversarial_weight=0.5)
    assert records[-1][1]["val_psnr"] > records[7][1]["val_psnr"]
    assert tokenizer.codebook.embedding.dtype == torch.float32
    transformer, records = transformer_run(stripes)
    assert records[-1][1]["val_loss"] < np.log(8)

    hole = np.zeros((2, 16, 16), dtype=bool)
    hole[:, 4:12, 4:12] = True
    small = VQGAN(channels=16, decoder_blocks=1, latent_dim=4, codebook_size=8)
    inpainter = Inpainter(small, transformer)
    images = cats[:2, :16, :16]
    generators = image_generators(0, range(2))
    filled = inpainter(images, hole, SCHEDULES["cosine"], 3, generators).images
    assert np.array_equal(filled[~hole], images[~hole])
    assert not np.array_equal(filled, images)


def test_the_discriminator_joins_late_and_changes_the_training(cats):
    plain, _ = tokenizer_run(cats)
    model, records = tokenizer_run(cats, adversarial_weight=0.5)
    assert [step for step, metrics in records if "discriminator_loss" in metrics] == [*range(9, 17)]
    assert not torch.equal(plain.last_layer, model.last_layer)


def test_the_perceptual_loss_is_zero_for_equal_images_only(cats):
    perceptual = PerceptualLoss()
    images = torch.from_numpy(cats[:4]).permute(0, 3, 1, 2).float() / 127.5 - 1
    assert perceptual(images, images).item() == pytest.approx(0, abs=1e-6)
    assert perceptual(images.roll(4, 3), images) > perceptual(images.roll(1, 3), images) > 0
    _, records = tokenizer_run(cats, perceptual, perceptual_weight=0.1)
    assert records[-1][1]["perceptual_loss"] < records[0][1]["perceptual_loss"]


@pytest.fixture(scope="module")
def stripes():
    """Token images whose rows are constant: anyone who looks sideways can fill them."""
    rng = np.random.default_rng(0)
    rows = rng.integers(8, size=(2, 64, 4, 1), dtype=np.uint16)
    return rows.repeat(4, axis=3).reshape(2, 64, 16)


def transformer_trainer(stripes):
    torch.manual_seed(0)
    model = MaskedTransformer(8, 4, grid=4, dim=32, heads=2, layers=2, dropout=0.1)
    model.know_codebook(F.normalize(torch.randn(8, 4), dim=1))
    holes = np.eye(16, dtype=bool)
    validation = fixed_batches(stripes[0, :16], holes, SCHEDULES["cosine"], seed=0)
    return TransformerTrainer(model, stripes, validation, TRANSFORMER, SCHEDULES["cosine"], holes)


def transformer_run(stripes):
    trainer = transformer_trainer(stripes)
    return trainer.model, finish(trainer)


def test_the_transformer_learns_and_repeats_itself(stripes):
    model, records = transformer_run(stripes)
    losses = [metrics["val_loss"] for _, metrics in records if "val_loss" in metrics]
    assert len(losses) == 2
    assert losses[1] < losses[0] < np.log(8) + 0.05
    again, records_again = transformer_run(stripes)
    assert records == records_again
    assert_equal_weights(model, again)


def test_a_loss_that_is_not_a_number_stops_the_training(stripes):
    model = MaskedTransformer(8, 4, grid=4, dim=32, heads=2, layers=1)
    torch.nn.init.constant_(model.head.bias, torch.nan)
    holes = np.eye(16, dtype=bool)
    trainer = TransformerTrainer(model, stripes, [], TRANSFORMER, SCHEDULES["cosine"], holes)
    with pytest.raises(FloatingPointError, match="step 0"):
        trainer.step()


def through_a_file(state, path):
    torch.save(state, path)
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize("stop_at", [1, 7, 20, 39])
def test_the_transformers_training_goes_on_where_it_stopped(stripes, tmp_path, stop_at):
    undisturbed = transformer_trainer(stripes)
    records = finish(undisturbed)
    stopped = transformer_trainer(stripes)
    for _ in range(stop_at):
        stopped.step()
    state = through_a_file(stopped.state_dict(), tmp_path / "state.pt")
    resumed = transformer_trainer(stripes)
    resumed.load_state_dict(state)
    assert finish(resumed) == records[stop_at:]
    assert_equal_weights(resumed.model, undisturbed.model)
    assert_equal_weights(resumed.average, undisturbed.average)
    assert_equal_weights(resumed.best.model, undisturbed.best.model)
    assert resumed.best.loss == min(m["val_loss"] for _, m in records if "val_loss" in m)


@pytest.mark.parametrize("stop_at", [2, 12])  # before the discriminator joins, and after
def test_the_tokenizers_training_goes_on_where_it_stopped(cats, tmp_path, stop_at):
    undisturbed = tokenizer_trainer(cats, adversarial_weight=0.5)
    records = finish(undisturbed)
    stopped = tokenizer_trainer(cats, adversarial_weight=0.5)
    for _ in range(stop_at):
        stopped.step()
    state = through_a_file(stopped.state_dict(), tmp_path / "state.pt")
    resumed = tokenizer_trainer(cats, adversarial_weight=0.5)
    resumed.load_state_dict(state)
    assert finish(resumed) == records[stop_at:]
    assert_equal_weights(resumed.model, undisturbed.model)
    assert_equal_weights(resumed.critic, undisturbed.critic)
