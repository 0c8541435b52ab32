"""The mean reading: what it draws from, and that its decoder is taught on the same."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from maskgit import load
from maskgit.data.cats.cat import draw_cats
from maskgit.data.holes import draw_holes
from maskgit.data.known_pixels import known_pixels
from maskgit.filling import Fill
from maskgit.inpainting.inpainter import image_generators
from maskgit.inpainting.kinds import make_readings
from maskgit.inpainting.mean import MeanInpainter
from maskgit.inpainting.settings import Decoding, Sampler
from maskgit.mean.codes import MeanInputs, code_vectors, mean_codes
from maskgit.mean.decoder import MeanDecoder, copied_layers
from maskgit.schedules import SCHEDULES
from maskgit.training.drawing import DrawingTrainer
from pipeline.plumbing.places import MODEL_FOLDER
from tests.small_models import taught_decoder
from tests.trainings import DRAWING, assert_equal_weights, finish

CPU = torch.device("cpu")
PAIRS = "models", "fsq_models", "token_models"
SIZES = {"channels": 16, "decoder_blocks": 1, "latent_dim": 4}


@pytest.fixture(scope="module")
def task():
    """Images, and holes in them of which one touches codes that it does not cover."""
    images, hole = draw_cats(6, seed=3), draw_holes(6, ["box"], (0.1, 0.3), 64, seed=3)
    hole[0] = False
    hole[0, 10:23, 9:30] = True
    return images, hole


def test_the_mean_of_a_certain_prediction_is_its_code_and_of_an_even_one_that_of_all(models):
    vectors = code_vectors(models[0])[:-1]
    certain = torch.eye(len(vectors)) * 1e4
    assert torch.allclose(mean_codes(certain, vectors), vectors, atol=1e-6)
    even = mean_codes(torch.zeros(1, len(vectors)), vectors)
    assert torch.allclose(even, vectors.mean(dim=0, keepdim=True), atol=1e-6)


def test_a_mean_does_not_depend_on_how_many_others_are_computed(models):
    vectors = code_vectors(models[0])[:-1]
    logits = torch.randn(1000, len(vectors))
    every = mean_codes(logits, vectors)
    for count in (1, 7, 256, 999):
        assert torch.equal(mean_codes(logits[:count], vectors), every[:count])
        assert torch.equal(mean_codes(logits[-count:], vectors), every[-count:])


@pytest.mark.parametrize("more_blocks", [1, 3])
@pytest.mark.parametrize("noise", [False, True])
def test_before_it_is_taught_it_draws_what_the_tokenizer_draws(models, more_blocks, noise, task):
    copied = copied_layers(models[1]) if noise else {}
    config = SIZES | {"more_blocks": more_blocks, "noise": noise} | copied
    drawer = MeanDecoder(**config).copy_weights(*models)
    codes, known = torch.randn(6, 4, 16, 16), known_pixels(*task, CPU)
    stream = [torch.randn(6, 256, copied["dim"])] if copied else []
    drawn, expected = drawer(codes, known, *stream), models[0].decoder(codes, known)
    assert torch.allclose(drawn, expected, atol=1e-5)  # with more channels sums have more terms
    assert noise or torch.equal(drawn, expected)
    of_blocks = 6 * drawer.layers  # queries, keys, values, outputs, and two of the MLP
    assert len(drawer.hidden_matrices()) == 4 + 4 * more_blocks + of_blocks
    with pytest.raises(ValueError):
        MeanDecoder(**SIZES, more_blocks=-1)


@pytest.mark.parametrize("height", [64, 192])
def test_codes_alike_are_not_drawn_alike_where_it_sees_noise(models, height):
    codes, known = torch.ones(1, 4, height // 4, 16), torch.zeros(1, 4, height, 64)
    plain, noisy = (MeanDecoder(**SIZES, noise=noise) for noise in (False, True))
    for drawer, alike in ((plain, True), (noisy, False)):
        drawer.copy_weights(*models)
        torch.nn.init.normal_(drawer.decoder.from_pixels.weight)
        cells = drawer(codes, known)[..., 24:40, 24:40].unfold(2, 4, 4).unfold(3, 4, 4)
        differ = (cells - cells[:, :, :1, :1]).abs().amax()
        assert (differ < 1e-4) == alike


def test_noise_is_seen_in_the_hole_alone(models, task):
    drawer = MeanDecoder(**SIZES, noise=True).copy_weights(*models)
    known = known_pixels(*task, CPU)
    noise = drawer.noise_in_hole(known)[:, 0]
    assert torch.equal(noise != 0, torch.from_numpy(task[1]))


@pytest.mark.parametrize("pair", [*PAIRS, "guided_models"])
@pytest.mark.parametrize("copies", [False, True])
def test_the_decoder_is_taught_on_what_it_will_be_shown(request, pair, copies, task):
    tokenizer, transformer = request.getfixturevalue(pair)
    images, hole = task
    drawer = taught_decoder(tokenizer, transformer, None if copies else {})
    inpainter = MeanInpainter(tokenizer, transformer, drawer)
    _, shown, *streams = inpainter.read(images, hole, *inpainter.encode(images, hole))
    mean_inputs = MeanInputs(tokenizer, transformer, drawer.layers)
    codes, known, *taught = mean_inputs(known_pixels(images, hole, CPU), torch.from_numpy(hole))
    assert codes.shape == shown.shape and known.shape == (6, 4, 64, 64)
    assert len(taught) == len(streams) == (drawer.layers > 0) == copies
    for one, other in zip(taught, streams, strict=True):
        assert torch.allclose(one, other, atol=0.02)
    assert torch.equal(codes == 0, shown == 0) and (codes == 0).any()
    assert torch.allclose(codes, shown, atol=0.02)  # one of them may be computed in bf16


def test_nothing_under_the_hole_is_taught(models, task):
    images, hole = task
    other = np.where(hole[..., None], 255 - images, images)
    mean_inputs, unknown = MeanInputs(*models, layers=1), torch.from_numpy(hole)
    for one, two in zip(
        *[mean_inputs(known_pixels(each, hole, CPU), unknown) for each in (images, other)],
        strict=True,
    ):
        assert torch.equal(one, two)


def test_the_decoder_learns_and_the_other_networks_stay(models, task):
    tokenizer, transformer = models
    before = [{k: v.clone() for k, v in model.state_dict().items()} for model in models]
    how = DRAWING.changed(steps=12, batch_size=4)

    def trained():
        torch.manual_seed(3)
        model = taught_decoder(tokenizer, transformer)
        mean_inputs = MeanInputs(tokenizer, transformer, model.layers)
        network = model, mean_inputs, model.hidden_matrices()
        return DrawingTrainer(*network, *task, 2, task, how, None, seed=3)

    trainer = trained()
    records = finish(trainer)
    losses = [metrics["val_loss"] for _, metrics in records if "val_loss" in metrics]
    assert len(losses) == 2 and losses[1] < losses[0]
    again = trained()
    assert finish(again) == records
    assert_equal_weights(again.best.model, trainer.best.model)
    for model, state in zip(models, before, strict=True):
        assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_every_seed_schedule_and_number_of_steps_gives_the_same_mean(small_models, task):
    fill = load(small_models / MODEL_FOLDER)
    image, hole = task[0][0], task[1][0]
    mean = fill(image, hole, reading="mean")
    how = {"seed": 5, "gamma": "square", "iterations": 3}
    assert np.array_equal(fill(image, hole, reading="mean", **how), mean)
    assert not np.array_equal(fill(image, hole, reading="sample"), mean)


def test_what_only_samples_have_asks_for_samples(small_models, task):
    fill = load(small_models / MODEL_FOLDER)
    image, hole = task[0][0], task[1][0]
    own = fill.config.decoding

    def of(**changes):
        decoding = own.changed(reading="mean", **changes)
        return Fill(fill.readings, fill.config.model_copy(update={"decoding": decoding}))

    mean = of()
    assert np.array_equal(mean(image, hole), fill(image, hole, reading="mean"))
    for how in ({"gamma": "square"}, {"iterations": 3}):
        expected = fill(image, hole, reading="sample", **how)
        assert np.array_equal(mean(image, hole, **how), expected)
    first, second = mean.variants(image, hole, 2)
    assert np.array_equal(first, fill(image, hole, reading="sample"))
    assert not np.array_equal(first, second)
    assert mean.decoding(2, reading="mean").reading == "mean"
    assert of(mean_steps=3).decoding(2).reading == "mean"  # of which each seed has another


def test_with_more_steps_a_part_is_drawn_before_the_mean(guided_models, task):
    images, hole = task
    sampler = Sampler(mean_steps=3, guidance=0.7)
    readings = make_readings(sampler, *guided_models, taught_decoder(*guided_models))
    how = SCHEDULES["cosine"], 3

    def run(reading, seed):
        return readings[reading](images, hole, *how, image_generators(seed, range(len(images))))

    mean, sample, other = run("mean", 0), run("sample", 0), run("mean", 1)
    for step in range(2):
        for ours, theirs in zip(mean.trajectory, sample.trajectory, strict=True):
            assert torch.equal(ours[step], theirs[step])
    assert mean.trajectory.steps().max() == 3 and not mean.trajectory.hidden[2].any()
    assert not np.array_equal(mean.images, other.images)
    for step in range(3):
        masks, views = readings["mean"].snapshot(images, hole, mean.trajectory, step)
        assert (masks > 0).any() == (step < 2)
    assert np.array_equal(views, mean.images)


def test_what_the_transformer_knows_beside_its_means_changes_the_fill(models, task):
    drawers = [taught_decoder(*models, copied) for copied in ({}, None)]
    assert [drawer.layers for drawer in drawers] == [0, 1]
    fills = [MeanInpainter(*models, drawer)(*task).images for drawer in drawers]
    assert not np.array_equal(*fills)


def test_the_blocks_are_those_of_the_trained_transformer_not_of_its_guide(guided_models):
    drawer = taught_decoder(*guided_models)
    own = guided_models[1].trained.blocks[-drawer.layers :].state_dict()
    assert all(torch.equal(value, own[key]) for key, value in drawer.blocks.state_dict().items())


@pytest.mark.parametrize("lacks", ["the layers", "layers, noise and blocks"])
def test_a_decoder_goes_on_from_one_that_was_taught(models, task, lacks):
    first = taught_decoder(*models, {})
    if lacks != "the layers":
        first = MeanDecoder(**SIZES).copy_weights(*models)
        torch.nn.init.normal_(first.decoder.from_codes.weight)
    more = {"more_blocks": 1, "noise": True} | copied_layers(models[1])
    second = MeanDecoder(**SIZES, **more).copy_weights(*models).go_on_from(first)
    fills = [MeanInpainter(*models, drawer)(*task).images.astype(int) for drawer in (first, second)]
    assert abs(fills[0] - fills[1]).max() <= 1
    taught = taught_decoder(*models)
    again = taught_decoder(*models).go_on_from(taught)
    assert_equal_weights(again, taught)


def test_a_decoder_with_blocks_of_no_width_is_refused():
    with pytest.raises(ValueError, match=r"dim \(0\) should be a multiple of heads"):
        MeanDecoder(**SIZES, layers=2)


def test_a_model_without_such_a_decoder_says_so(models):
    config = SimpleNamespace(decoding=Decoding(gamma="cosine", iterations=5, seed=0))
    fill = Fill(make_readings(config.decoding, *models, None), config)
    with pytest.raises(ValueError, match="reading should be sample: the model has no decoder"):
        fill.decoding(reading="mean")
