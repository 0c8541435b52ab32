"""Both trainings learn, and repeat themselves bit for bit."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from maskgit import device
from maskgit.data.cats.cat import draw_cats
from maskgit.inpainting.inpainter import Inpainter, image_generators
from maskgit.perception import PerceptualLoss
from maskgit.schedules import SCHEDULES
from maskgit.tokenizer import training as tokenizer_training
from maskgit.tokenizer.hidden_tokens import hidden_tokens
from maskgit.tokenizer.quantizers import QUANTIZERS
from maskgit.tokenizer.settings import TokenizerTraining
from maskgit.tokenizer.training import HOLED, SETTLED, TokenizerTrainer
from maskgit.tokenizer.vqgan import VQGAN
from maskgit.training import optim
from maskgit.training.graphs import Replayed
from maskgit.training.trainer import metric_values
from maskgit.transformer import model as transformer_model
from maskgit.transformer import training as transformer_training
from maskgit.transformer.masking import Holes, fixed_batches, hide
from maskgit.transformer.model import (
    MaskedTransformer,
    hidden_token_losses,
    hidden_token_predictions,
    masked_token_loss,
)
from maskgit.transformer.settings import TransformerTraining
from maskgit.transformer.training import TransformerTrainer, evaluate_transformer
from tests.trainings import Waits, assert_equal_weights, finish, through_a_file

TOKENIZER = TokenizerTraining(
    steps=16,
    batch_size=8,
    learning_rate=4e-3,
    warmup=2,
    commitment_weight=0.25,
    perceptual_weight=0.0,
    adversarial_weight=0.0,
    discriminator_start=0.5,
    evaluations=2,
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
    evaluations=2,
)
SEED = 3


@pytest.fixture(scope="module")
def cats():
    return draw_cats(40, seed=0)


@pytest.fixture(scope="module")
def perceptual():
    return PerceptualLoss()


SIZES = {"kmeans": 32, "fsq": 64}  # of the codebook; settings allow fsq no 32


def tokenizer_trainer(cats, perceptual=None, quantizer="kmeans", graphed=False, **changes):
    torch.manual_seed(0)
    sizes = {"channels": 16, "decoder_blocks": 1, "codebook_size": SIZES[quantizer]}
    model = VQGAN(**sizes, quantizer=quantizer)
    how = TokenizerTraining(**dict(TOKENIZER) | changes)
    return TokenizerTrainer(model, cats[:32], cats[32:], how, perceptual, SEED, graphed)


def tokenizer_run(cats, perceptual=None, **changes):
    trainer = tokenizer_trainer(cats, perceptual, **changes)
    return trainer.model, finish(trainer)


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_the_tokenizer_learns_and_repeats_itself(cats, quantizer):
    model, records = tokenizer_run(cats, quantizer=quantizer)
    evaluated = {step: metrics for step, metrics in records if "val_psnr" in metrics}
    assert list(evaluated) == [8, 16]
    assert evaluated[16]["val_psnr"] > evaluated[8]["val_psnr"]
    assert 0 < evaluated[16]["codebook_usage"] <= 1
    assert 1 <= evaluated[16]["codebook_perplexity"] <= model.codebook.codebook_size
    assert_equal_weights(model, tokenizer_run(cats, quantizer=quantizer)[0])


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_settled_codes_stay_while_the_decoder_learns(cats, quantizer):
    trainer = tokenizer_trainer(cats, quantizer=quantizer)
    while trainer.done < SETTLED * trainer.steps:
        trainer.step()
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    finish(trainer)
    changed = {
        name.split(".")[0]
        for name, value in trainer.model.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert changed == {"decoder"}


@pytest.fixture
def bf16(monkeypatch):
    """Half precision whatever the processor: slow on most, but it must work everywhere."""
    monkeypatch.setattr(optim, "bf16_is_faster", lambda device: True)


def test_both_models_learn_and_fill_in_half_precision(bf16, cats, perceptual, stripes):
    tokenizer, records = tokenizer_run(cats, perceptual, adversarial_weight=0.5)
    assert records[-1][1]["val_psnr"] > records[7][1]["val_psnr"]
    assert tokenizer.codebook.embedding.dtype == torch.float32
    transformer, records = transformer_run(stripes)
    first, last = (metrics["val_loss"] for _, metrics in records if "val_loss" in metrics)
    assert last < first < np.log(8) + 0.05

    hole = np.zeros((2, 16, 16), dtype=bool)
    hole[:, 4:12, 4:12] = True
    small = VQGAN(channels=16, decoder_blocks=1, latent_dim=4, codebook_size=8)
    inpainter = Inpainter(small, transformer)
    images = cats[:2, :16, :16]
    generators = image_generators(0, range(2))
    filled = inpainter(images, hole, SCHEDULES["cosine"], 3, generators).images
    assert np.array_equal(filled[~hole], images[~hole])
    assert not np.array_equal(filled, images)


def test_the_discriminator_joins_late_and_changes_the_training(cats, perceptual):
    plain, _ = tokenizer_run(cats)
    model, records = tokenizer_run(cats, perceptual, adversarial_weight=0.5)
    assert [step for step, metrics in records if "discriminator_loss" in metrics] == [*range(9, 17)]
    weights = [each.decoder.from_codes.weight for each in (plain, model)]
    assert not torch.equal(*weights)


def test_the_perceptual_loss_is_zero_for_equal_images_only(cats):
    network = PerceptualLoss()

    def perceptual(one, other):
        return network.distance(network.features(one), network.features(other))

    images = torch.from_numpy(cats[:4]).permute(0, 3, 1, 2).float() / 127.5 - 1
    assert perceptual(images, images).item() == pytest.approx(0, abs=1e-6)
    assert perceptual(images.roll(4, 3), images) > perceptual(images.roll(1, 3), images) > 0
    trained, _ = tokenizer_run(cats, network, perceptual_weight=0.1)
    fresh = tokenizer_trainer(cats).model
    after, before = (perceptual(m.decode(m.encode(images)), images) for m in (trained, fresh))
    assert after < before


@pytest.fixture(scope="module")
def stripes():
    """Grey images and tokens whose rows are constant: who looks sideways can fill them."""
    rng = np.random.default_rng(0)
    rows = rng.integers(8, size=(2, 64, 4, 1), dtype=np.uint16)
    tokens = rows.repeat(4, axis=3)
    images = (30 * tokens[0]).astype(np.uint8).repeat(4, 1).repeat(4, 2)
    return images[..., None].repeat(3, axis=3), tokens.reshape(2, 64, 16)


def one_cell_holes():
    """Sixteen holes, each of one cell; its neighbours are touched, too."""
    cells = torch.eye(16, dtype=torch.bool).view(16, 4, 4)
    pixels = cells.repeat_interleave(4, 1).repeat_interleave(4, 2)
    return Holes(pixels, *[part.flatten(1) for part in hidden_tokens(pixels, 4, 2)])


def transformer_trainer(stripes, cell=4, graphed=False, **changes):
    torch.manual_seed(0)
    model = MaskedTransformer(
        codebook_size=8, latent_dim=4, grid=4, cell=cell, dim=32, heads=2, layers=2, dropout=0.1
    )
    model.set_codebook(F.normalize(torch.randn(8, 4), dim=1))
    (images, tokens), holes, cosine = stripes, one_cell_holes(), SCHEDULES["cosine"]
    sees_pixels = model.sees_pixels
    validation = fixed_batches(images, tokens[0], holes, sees_pixels, cosine, seed=0)
    how = TRANSFORMER.changed(**changes)
    return TransformerTrainer(model, images, tokens, holes, validation, how, cosine, SEED, graphed)


def transformer_run(stripes, cell=4):
    trainer = transformer_trainer(stripes, cell)
    return trainer.model, finish(trainer)


@pytest.mark.parametrize("cell", [4, 0])
def test_the_transformer_learns_and_repeats_itself(stripes, cell):
    model, records = transformer_run(stripes, cell)
    losses = [metrics["val_loss"] for _, metrics in records if "val_loss" in metrics]
    assert len(losses) == 2
    assert losses[1] < losses[0] < np.log(8) + 0.05
    again, records_again = transformer_run(stripes, cell)
    assert records == records_again
    assert_equal_weights(model, again)


def test_the_loss_is_told_apart_for_the_rim_and_the_inside_of_holes(stripes):
    trainer = transformer_trainer(stripes)
    torch.nn.init.normal_(trainer.model.head.weight)  # until trained, all codes are alike
    images, tokens = stripes
    pixels = torch.zeros(1, 16, 16, dtype=torch.bool)
    pixels[0, 4:8, 4:10] = True  # all of place 5, half of place 6
    holes = Holes(pixels, *[part.flatten(1) for part in hidden_tokens(pixels, 4, 2)])
    rows = torch.ones(8, dtype=torch.bool)
    batch = hide(
        torch.from_numpy(images[:8]),
        torch.from_numpy(tokens[0, :8].astype(int)),
        holes.pick(torch.zeros(8, dtype=int)),
        rows,
        ~rows,
        torch.ones(8),
        True,
        torch.Generator().manual_seed(0),
    )
    assert batch.hidden.nonzero()[:, 1].tolist() == [5, 6] * 8
    losses = hidden_token_losses(trainer.model.eval(), batch).detach().view(8, 2).mean(dim=0)
    found = evaluate_transformer(trainer.model, [batch])
    assert found["val_loss_inside"] == pytest.approx(losses[0].item(), rel=1e-5)
    assert found["val_loss_rim"] == pytest.approx(losses[1].item(), rel=1e-5)
    assert found["val_loss"] == pytest.approx(losses.mean().item(), rel=1e-5)
    with torch.no_grad():
        logits, truth = hidden_token_predictions(trainer.model, batch)
    for k in (1, 5):
        right = (logits.topk(k).indices == truth[:, None]).any(dim=1)
        assert found[f"val_top{k}"] == pytest.approx(right.float().mean().item())


def test_a_loss_that_is_not_a_number_stops_the_training(stripes):
    trainer = transformer_trainer(stripes)
    torch.nn.init.constant_(trainer.model.head.bias, torch.nan)
    with pytest.raises(FloatingPointError, match="train_loss is nan"):
        metric_values(trainer.step())


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
    assert_equal_weights(resumed.guide, undisturbed.guide)
    assert resumed.best.loss == min(m["val_loss"] for _, m in records if "val_loss" in m)


@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("stop_at", [2, 12])  # before the discriminator joins, and after
def test_the_tokenizers_training_goes_on_where_it_stopped(
    cats, perceptual, tmp_path, stop_at, quantizer
):
    choices = {"perceptual": perceptual, "quantizer": quantizer, "adversarial_weight": 0.5}
    undisturbed = tokenizer_trainer(cats, **choices)
    records = finish(undisturbed)
    stopped = tokenizer_trainer(cats, **choices)
    for _ in range(stop_at):
        stopped.step()
    state = through_a_file(stopped.state_dict(), tmp_path / "state.pt")
    resumed = tokenizer_trainer(cats, **choices)
    resumed.load_state_dict(state)
    assert finish(resumed) == records[stop_at:]
    assert_equal_weights(resumed.model, undisturbed.model)
    assert_equal_weights(resumed.adversary.discriminator, undisturbed.adversary.discriminator)


@pytest.fixture
def float32(monkeypatch):
    """Full precision whatever the processor: parts of a batch differ from it by rounding alone."""
    monkeypatch.setattr(device, "bf16_is_faster", lambda device: False)


def assert_equal_gradients(model, expected, tolerance=1e-6):
    pairs = [
        (p.grad, q.grad) for p, q in zip(model.parameters(), expected.parameters(), strict=True)
    ]
    assert all((found is None) == (wanted is None) for found, wanted in pairs)
    pairs = [pair for pair in pairs if pair[0] is not None]
    largest = max(wanted.abs().max() for _, wanted in pairs)
    assert max((found - wanted).abs().max() for found, wanted in pairs) <= tolerance * max(
        1, largest
    )


@pytest.mark.parametrize("parts", [2, 3, 8])  # of eight images; 3 divides them unevenly
def test_the_transformers_gradient_is_that_of_the_whole_batch_however_it_is_divided(
    float32, stripes, parts
):
    whole = transformer_trainer(stripes)
    divided = transformer_trainer(stripes, accumulate=parts)
    for parameter in whole.model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    divided.model.load_state_dict(whole.model.state_dict())
    batch = whole.draw_batch()
    assert len(set(batch.hidden.sum(dim=1).tolist())) > 1  # else any weights of parts would do
    losses = [each.accumulate_gradients(batch) for each in (whole, divided) if each.model.eval()]
    torch.testing.assert_close(*losses)
    assert_equal_gradients(divided.model, whole.model)


@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("adversarial", [False, True])
def test_the_tokenizers_gradient_is_that_of_the_whole_batch_however_it_is_divided(
    float32, cats, perceptual, quantizer, settled, adversarial
):
    how = {"quantizer": quantizer, "adversarial_weight": 0.5, "perceptual_weight": 0.3}
    whole = tokenizer_trainer(cats, perceptual, **how)
    divided = tokenizer_trainer(cats, perceptual, accumulate=2, **how)
    batch = whole.draw_batch(HOLED * settled)
    losses = []
    for each in (whole, divided):
        each.model.train()
        if settled:
            each.model.settle_codes()
        torch.manual_seed(0)
        losses.append(metric_values(each.learn(*batch, settled, adversarial)))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    tolerance = 1e-5 if adversarial else 1e-6  # the discriminator multiplies what rounding leaves
    assert_equal_gradients(divided.model, whole.model, tolerance)
    if adversarial:
        judges = divided.adversary.discriminator, whole.adversary.discriminator
        assert_equal_gradients(*judges, tolerance)
    for name, value in whole.model.codebook.state_dict().items():
        torch.testing.assert_close(divided.model.codebook.state_dict()[name], value)


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    monkeypatch.setattr(transformer_model, "is_synchronous", lambda device: False)


def test_no_step_waits_for_the_device(as_on_a_gpu, cats, perceptual, stripes):
    adversarial = {"adversarial_weight": 0.5, "discriminator_start": 0}
    tokenizer = tokenizer_trainer(cats, perceptual, **adversarial)
    trainers = transformer_trainer(stripes), tokenizer
    for trainer in trainers:
        trainer.step()  # the first may
        with Waits() as waits:
            metrics = trainer.step()
        assert waits.found == []
        with Waits() as waits:
            metric_values(metrics)
        assert len(waits.found) == sum(isinstance(m, torch.Tensor) for m in metrics.values()) > 0


def test_a_loss_of_a_fixed_shape_is_the_same_loss(as_on_a_gpu, stripes):
    trainer = transformer_trainer(stripes)
    finish(trainer)
    model, batch = trainer.model.eval(), trainer.draw_batch()
    expected = hidden_token_losses(model, batch, 0.1).mean()
    torch.testing.assert_close(masked_token_loss(model, batch, 0.1), expected)


def by_repetition(step, inputs):
    """In place of a CUDA graph: the step again, on the same inputs, into the same results."""
    results = {}

    def replay():
        for name, value in step(*inputs).items():
            results.setdefault(name, value.clone()).copy_(value)

    return replay, results


def test_a_replayed_step_takes_new_inputs_and_keeps_earlier_results():
    replayed = Replayed(lambda x, y: {"sum": x + y}, by_repetition)
    given = [(torch.tensor([float(i)]), torch.tensor([2.0 * i])) for i in range(8)]
    found = [replayed(*pair)["sum"] for pair in given]
    assert [value.item() for value in found] == [3.0 * i for i in range(8)]
    assert replayed.inputs  # captured


@pytest.fixture
def replaying(monkeypatch):
    for module in (tokenizer_training, transformer_training):
        monkeypatch.setattr(module, "Replayed", lambda step: Replayed(step, by_repetition))


def test_a_training_by_graphs_is_the_training_without(
    float32, replaying, cats, perceptual, stripes, tmp_path
):
    adversarial = {"perceptual": perceptual, "adversarial_weight": 0.5}
    for make, given in ((tokenizer_trainer, [cats]), (transformer_trainer, [stripes])):
        changes = adversarial if make is tokenizer_trainer else {}
        plain = finish(make(*given, **changes))
        stopped = make(*given, graphed=True, **changes)
        found = [(stopped.done, metric_values(stopped.step())) for _ in range(7)]
        state = through_a_file(stopped.state_dict(), tmp_path / "state.pt")
        resumed = make(*given, graphed=True, **changes)
        resumed.load_state_dict(state)
        found += finish(resumed)
        for (_, metrics), (_, expected) in zip(found, plain, strict=True):
            for name in {"reconstruction_loss", "commitment_loss", "train_loss"} & set(expected):
                assert metrics[name] == pytest.approx(expected[name], rel=0.02), name
