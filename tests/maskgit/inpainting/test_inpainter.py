"""The laws of inpainting, on small models with random weights: they hold for any weights."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskgit.inpainting import inpainter as module
from maskgit.inpainting.decoders import Confidence
from maskgit.inpainting.inpainter import Inpainter, image_generators
from maskgit.inpainting.kinds import make_inpainter, make_readings
from maskgit.inpainting.registry import step_decoders
from maskgit.inpainting.seam import ring_errors
from maskgit.inpainting.settings import Sampler
from maskgit.schedules import SCHEDULES
from tests.holed_images import batches, seeds
from tests.small_models import taught_decoder

few = settings(max_examples=15)
schedules = st.sampled_from(sorted(SCHEDULES)).map(SCHEDULES.get)
iterations = st.integers(1, 4)


# Who sees pixels: both, both and the guide, both with another quantizer, the decoder
PAIRS = "models", "guided_models", "fsq_models", "token_models"
CASES = [(name, "models") for name in step_decoders()]
CASES += [("confidence", pair) for pair in PAIRS[1:]]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def inpainter(request):
    decoder, pair = request.param
    return make_inpainter(Sampler(decoder=decoder, guidance=0.7), *request.getfixturevalue(pair))


MEANS = {"mean": 1, "mean_of_a_part": 3}  # steps of the mean reading
MEAN_CASES = [(name, pair) for name in MEANS for pair in PAIRS]


@pytest.fixture(scope="module", params=[*CASES, *MEAN_CASES], ids="-".join)
def any_inpainter(request):
    """One of each decoder, and the mean reading."""
    decoder, pair = request.param
    tokenizer, transformer = request.getfixturevalue(pair)
    if decoder not in MEANS:
        return make_inpainter(Sampler(decoder=decoder, guidance=0.7), tokenizer, transformer)
    drawer = taught_decoder(tokenizer, transformer)
    sampler = Sampler(mean_steps=MEANS[decoder], guidance=0.7)
    return make_readings(sampler, tokenizer, transformer, drawer)["mean"]


def fill(inpainter, images, hole, schedule, steps, indices=None):
    generators = image_generators(0, range(len(images)) if indices is None else indices)
    return inpainter(images, hole, schedule, steps, generators).images


@few
@given(batch=batches(), schedule=schedules, steps=iterations)
def test_known_pixels_come_back_bit_for_bit(any_inpainter, batch, schedule, steps):
    images, hole = batch
    result = fill(any_inpainter, images, hole, schedule, steps)
    assert result.dtype == np.uint8 and result.shape == images.shape
    assert np.array_equal(result[~hole], images[~hole])


@few
@given(batch=batches(), schedule=schedules, steps=iterations, seed=seeds)
def test_pixels_under_the_hole_never_matter(any_inpainter, batch, schedule, steps, seed):
    images, hole = batch
    noise = np.random.default_rng(seed).integers(256, size=images.shape, dtype=np.uint8)
    others = np.where(hole[..., None], noise, images)
    first = fill(any_inpainter, images, hole, schedule, steps)
    assert np.array_equal(first, fill(any_inpainter, others, hole, schedule, steps))


@few
@given(batch=batches(), steps=iterations, seed=seeds)
def test_of_the_pixels_under_the_hole_only_a_draft_matters(any_inpainter, batch, steps, seed):
    images, hole = batch
    rng = np.random.default_rng(seed)
    draft = hole & (rng.random(hole.shape) < 0.5)
    noise = rng.integers(256, size=images.shape, dtype=np.uint8)
    others = np.where((hole & ~draft)[..., None], noise, images)

    def filled(images, at=slice(None)):
        how = SCHEDULES["cosine"], steps, image_generators(0, range(len(images))[at])
        return any_inpainter(images[at], hole[at], *how, draft[at]).images

    first = filled(images)
    assert np.array_equal(first, filled(others))
    assert np.array_equal(first[~hole], images[~hole])
    for i in range(len(images)):
        assert np.array_equal(filled(images, slice(i, i + 1))[0], first[i])


@few
@given(batch=batches(least=2), schedule=schedules, steps=iterations)
def test_an_image_does_not_depend_on_its_batch(any_inpainter, batch, schedule, steps):
    images, hole = batch
    together = fill(any_inpainter, images, hole, schedule, steps)
    for i in range(len(images)):
        alone = fill(any_inpainter, images[i : i + 1], hole[i : i + 1], schedule, steps, [i])
        assert np.array_equal(alone[0], together[i])


def test_an_image_that_is_filled_costs_no_more_passes(inpainter):
    images = np.zeros((3, 64, 64, 3), dtype=np.uint8)
    hole = np.zeros((3, 64, 64), dtype=bool)
    hole[1, :8, :8], hole[2, :, :32] = True, True
    seen = []
    hook = inpainter.transformer.register_forward_pre_hook(
        lambda _, inputs: seen.append(len(inputs[0]))
    )
    with hook:
        _, hidden = inpainter.encode(images, hole)
        steps = inpainter.trace(
            images, hole, SCHEDULES["cosine"], 16, image_generators(0, range(3))
        ).hidden[:-1]
    waiting = [int(step.any(dim=1).sum()) for step in (hidden, *steps)]
    assert seen == [max(2, count) for count in waiting]  # one alone is predicted twice
    assert {1, 2} == set(waiting)


@few
@given(batch=batches(), schedule=schedules)
def test_pasting_without_blending_keeps_known_pixels_too(models, batch, schedule):
    images, hole = batch
    inpainter = make_inpainter(Sampler(seamless=False), *models)
    result = fill(inpainter, images, hole, schedule, 2)
    assert np.array_equal(result[~hole], images[~hole])


def test_each_number_of_iterations_is_a_run_of_its_own(inpainter):
    images = np.random.default_rng(0).integers(256, size=(2, 64, 64, 3), dtype=np.uint8)
    hole = np.zeros((2, 64, 64), dtype=bool)
    hole[:, 10:40, 10:40] = True
    several = inpainter.sweep_iterations(images, hole, SCHEDULES["square"], [1, 3], 0, range(2))
    for count, result in several:
        if not inpainter.decoder.open_ended:
            assert len(result.trajectory.tokens) == count
        alone = fill(inpainter, images, hole, SCHEDULES["square"], count)
        assert np.array_equal(result.images, alone)


def test_each_fill_is_another_drawing(inpainter):
    images = np.random.default_rng(0).integers(256, size=(2, 64, 64, 3), dtype=np.uint8)
    hole = np.zeros((2, 64, 64), dtype=bool)
    hole[:, 10:40, 10:40] = True
    task = images, hole, SCHEDULES["square"], [2], 0, range(2)
    first, again, other = (
        dict(inpainter.sweep_iterations(*task, number))[2].images for number in (0, 0, 1)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert np.array_equal(first, fill(inpainter, images, hole, SCHEDULES["square"], 2))


def test_an_empty_hole_returns_the_image(any_inpainter):
    images = np.random.default_rng(0).integers(256, size=(2, 64, 64, 3), dtype=np.uint8)
    hole = np.zeros((2, 64, 64), dtype=bool)
    assert np.array_equal(fill(any_inpainter, images, hole, SCHEDULES["cosine"], 3), images)


def test_a_full_hole_generates_from_the_seed(inpainter):
    images = np.zeros((2, 64, 64, 3), dtype=np.uint8)
    hole = np.ones((2, 64, 64), dtype=bool)
    result = fill(inpainter, images, hole, SCHEDULES["cosine"], 3)
    assert np.array_equal(result, fill(inpainter, images, hole, SCHEDULES["cosine"], 3))
    assert not np.array_equal(result[0], result[1])  # each image has a seed of its own


def test_snapshots_show_what_is_still_hidden(any_inpainter):
    images = np.random.default_rng(0).integers(256, size=(2, 64, 64, 3), dtype=np.uint8)
    hole = np.zeros((2, 64, 64), dtype=bool)
    hole[:, 10:40, 10:40] = True
    generators = image_generators(0, range(2))
    result = any_inpainter(images, hole, SCHEDULES["linear"], 3, generators)
    hidden = []
    for step in range(len(result.trajectory.tokens)):
        mask, view = any_inpainter.snapshot(images, hole, result.trajectory, step)
        assert np.array_equal(view[~hole], images[~hole])
        hidden.append((mask > 0).sum())
    assert all(now > later for now, later in pairwise(hidden)) and hidden[-1] == 0
    assert np.array_equal(view, result.images)


def test_of_several_drawings_the_one_that_fits_its_surroundings_is_kept(models):
    images = np.random.default_rng(0).integers(256, size=(3, 64, 64, 3), dtype=np.uint8)
    hole = np.zeros((3, 64, 64), dtype=bool)
    hole[0, 10:40, 10:40], hole[1, :, :20] = True, True
    task = images, hole, SCHEDULES["cosine"], 2
    generators = image_generators(0, range(3))
    single = make_inpainter(Sampler(seamless=False), *models)
    several = [single(*task, generators) for _ in range(4)]  # one after the other
    four = make_inpainter(Sampler(seamless=False, best_of=4), *models)
    best = four(*task, image_generators(0, range(3)))
    drawn = [single.decode_pixels(each.trajectory.tokens[-1], images, hole) for each in several]
    errors = np.stack([ring_errors(one, images, hole) for one in drawn])
    assert (errors[:, :2].std(axis=0) > 0).all() and (errors[:, 2] == 0).all()
    for i, number in enumerate(errors.argmin(axis=0)):
        assert np.array_equal(best.images[i], several[number].images[i])
        assert torch.equal(best.trajectory.tokens[:, i], several[number].trajectory.tokens[:, i])


def test_the_medoid_is_nearest_to_the_others_in_the_hole(models):
    images = np.random.default_rng(0).integers(256, size=(2, 64, 64, 3), dtype=np.uint8)
    hole = np.zeros((2, 64, 64), dtype=bool)
    hole[:, 10:40, 10:40] = True
    task = images, hole, SCHEDULES["cosine"], 2
    generators = image_generators(0, range(2))
    single = make_inpainter(Sampler(seamless=False), *models)
    several = [single(*task, generators).images.astype(float) for _ in range(5)]
    medoid = make_inpainter(Sampler(seamless=False, best_of=5, choose="medoid"), *models)
    kept = medoid(*task, image_generators(0, range(2))).images
    for i in range(2):
        far = [sum(np.square(a[i] - b[i]).sum() for b in several) for a in several]
        assert len(set(far)) == 5
        assert np.array_equal(kept[i], several[int(np.argmin(far))][i])


@pytest.mark.parametrize("decoder", step_decoders())
def test_the_best_of_several_does_not_depend_on_the_batch(models, decoder):
    """With holes of many sizes: where each takes its own number of steps, they differ much."""
    inpainter = make_inpainter(Sampler(decoder=decoder, best_of=3), *models)
    images = np.random.default_rng(0).integers(256, size=(6, 64, 64, 3), dtype=np.uint8)
    hole = np.zeros((6, 64, 64), dtype=bool)
    for i, side in enumerate([4, 8, 12, 20, 30, 50]):
        hole[i, 5 : 5 + side, 5 : 5 + side] = True
    together = fill(inpainter, images, hole, SCHEDULES["cosine"], 4)
    for i in range(len(images)):
        alone = fill(inpainter, images[i : i + 1], hole[i : i + 1], SCHEDULES["cosine"], 4, [i])
        assert np.array_equal(alone[0], together[i])


def test_inpainters_that_share_their_networks_do_not_change_each_other(guided_models):
    images = np.random.default_rng(0).integers(256, size=(2, 64, 64, 3), dtype=np.uint8)
    hole = np.zeros((2, 64, 64), dtype=bool)
    hole[:, 10:40, 10:40] = True
    task = images, hole, SCHEDULES["cosine"], 3
    guided = make_inpainter(Sampler(guidance=0.7), *guided_models)
    before = fill(guided, *task)
    for other in (Sampler(), Sampler(guidance=3.0, temperature=0.3), Sampler(decoder="halton")):
        assert not np.array_equal(fill(make_inpainter(other, *guided_models), *task), before)
        assert np.array_equal(fill(guided, *task), before)


def test_an_inpainter_is_made_as_the_settings_say(guided_models):
    how = {"temperature": 0.3, "choice_temperature": 2.0}
    made = make_inpainter(Sampler(**how, guidance=0.7, seamless=False), *guided_models)
    own = Inpainter(*guided_models, Confidence(**how), seamless=False, guidance=0.7)
    images = np.random.default_rng(0).integers(256, size=(2, 64, 64, 3), dtype=np.uint8)
    hole = np.zeros((2, 64, 64), dtype=bool)
    hole[:, 10:40, 10:40] = True
    task = images, hole, SCHEDULES["cosine"], 3
    assert np.array_equal(fill(made, *task), fill(own, *task))


def test_only_the_ring_around_the_hole_counts():
    rng = np.random.default_rng(0)
    images, drawn = rng.integers(256, size=(2, 1, 32, 32, 3), dtype=np.uint8)
    hole = np.zeros((1, 32, 32), dtype=bool)
    hole[:, 12:18, 12:18] = True
    before = ring_errors(drawn, images, hole)
    elsewhere = drawn.copy()
    elsewhere[hole], elsewhere[:, :4] = 0, 0
    assert ring_errors(elsewhere, images, hole) == before > 0
    elsewhere[:, 10, 14] = 255 - images[:, 10, 14]
    assert ring_errors(elsewhere, images, hole) != before
    assert ring_errors(drawn, images, np.zeros_like(hole)) == 0


def test_without_float64_on_the_device_tokens_are_chosen_on_the_processor(models, monkeypatch):
    images = np.random.default_rng(0).integers(256, size=(2, 64, 64, 3), dtype=np.uint8)
    hole = np.zeros((2, 64, 64), dtype=bool)
    hole[:, 16:40, 20:44] = True
    expected = fill(Inpainter(*models), images, hole, SCHEDULES["cosine"], 3)
    monkeypatch.setattr(module, "has_float64", lambda device: False)
    moved, move = [], torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: moved.append(tensor) or move(tensor))
    found = fill(Inpainter(*models), images, hole, SCHEDULES["cosine"], 3)
    assert np.array_equal(found, expected)
    assert [tensor.dtype for tensor in moved[:2]] == [torch.int64, torch.bool]  # tokens, hidden
