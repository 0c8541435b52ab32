"""The original lab's decoder keeps its faults, and each can be put right alone."""

import numpy as np
import pytest
import torch

from maskgit.inpainting.inpainter import Inpainter, image_generators
from maskgit.inpainting.kinds import make_inpainter
from maskgit.inpainting.settings import Sampler
from maskgit.lab.decoder import LabInpainter, lab_counts
from maskgit.lab.settings import LabChoices
from maskgit.pixels import to_float
from maskgit.schedules import SCHEDULES

COSINE = SCHEDULES["cosine"]


@pytest.fixture(scope="module")
def task():
    images = np.random.default_rng(0).integers(256, size=(2, 64, 64, 3), dtype=np.uint8)
    hole = np.zeros((2, 64, 64), dtype=bool)
    hole[0, 16:48, 16:48] = hole[1, 4:20, 8:60] = True
    return images, hole


def run(models, task, sweet_spot, **choices):
    inpainter = LabInpainter(*models, LabChoices(**choices))
    return inpainter, inpainter(*task, COSINE, sweet_spot, image_generators(0, range(2)))


def counts(choices):
    first = now = torch.tensor([64])
    result = []
    for step in range(8):
        now = lab_counts(now, first, COSINE(step / 7), choices)
        result.append(now.item())
    return result


def test_the_count_compounds_as_in_the_original():
    assert counts(LabChoices()) == [64, 62, 55, 43, 26, 11, 2, 1]


def test_the_count_put_right_follows_the_schedule():
    expected = [max(1, int(64 * COSINE(step / 7))) for step in range(8)]
    assert counts(LabChoices(count_from_start=True)) == expected


def test_the_first_step_reveals_nothing_and_changes_everything(models, task):
    images, hole = task
    inpainter, result = run(models, task, 0)
    _, hidden = inpainter.encode(*task)
    assert torch.equal(result.trajectory.hidden[0], hidden)
    assert not np.array_equal(result.images[~hole], images[~hole])  # known pixels are lost


def test_every_place_takes_the_most_probable_token(models, task):
    inpainter, result = run(models, task, 0)
    tokens, hidden = inpainter.encode(*task)
    masked = tokens.masked_fill(hidden, models[1].mask_token)
    with torch.inference_mode():
        logits = inpainter.predict(
            masked, torch.ones_like(hidden), inpainter.embed_known_pixels(*task)
        )
    expected = logits.argmax(dim=1).view_as(tokens)
    assert torch.equal(result.trajectory.tokens[0], expected)


def test_the_next_step_reads_what_the_last_one_drew(models, task):
    inpainter, result = run(models, task, 1)
    tokens, hidden = result.trajectory.tokens, result.trajectory.hidden
    tokenizer, transformer = models
    drawn = to_float(inpainter.decode_pixels(tokens[0], *task), inpainter.device)
    again = tokenizer.encode(drawn).flatten(1)
    masked = again.masked_fill(hidden[0], transformer.mask_token)
    with torch.inference_mode():
        logits = inpainter.predict(
            masked, torch.ones_like(hidden[0]), inpainter.embed_known_pixels(*task)
        )
    expected = logits.argmax(dim=1).view_as(again)
    assert torch.equal(tokens[1], expected)


def test_a_sweet_spot_is_a_step_of_the_whole_run(models, task):
    _, early = run(models, task, 2, total=12)
    _, late = run(models, task, 5, total=12)
    assert torch.equal(early.trajectory.tokens, late.trajectory.tokens[:3])
    inpainter = LabInpainter(*models)
    spots = dict(inpainter.sweep_iterations(*task, COSINE, [2, 5], 0, range(2)))
    assert np.array_equal(spots[2].images, early.images)
    assert np.array_equal(spots[5].images, late.images)
    with pytest.raises(ValueError, match="not a step"):
        run(models, task, 12, total=12)


@pytest.mark.parametrize("kind", [Inpainter, LabInpainter])
def test_a_sweep_is_a_single_run_where_the_inpainter_says_so(models, task, kind):
    runs = []

    class Counting(kind):
        def trace(self, *given):
            runs.append(given)
            return super().trace(*given)

    list(Counting(*models).sweep_iterations(*task, COSINE, [2, 5], 0, range(2)))
    assert len(runs) == (1 if kind.sweeps_in_one_run else 2)


def test_an_image_alone_is_decoded_as_in_company(models, task):
    images, hole = task
    inpainter = LabInpainter(*models)
    both = inpainter.sweep_iterations(images, hole, COSINE, [2, 5], 0, range(2))
    alone = inpainter.sweep_iterations(images[1:], hole[1:], COSINE, [2, 5], 0, [1])
    for (step, together), (same_step, single) in zip(both, alone, strict=True):
        assert step == same_step
        assert (single.images == together.images[1:]).all()
        assert torch.equal(single.trajectory.tokens, together.trajectory.tokens[:, 1:])


def test_tokens_kept_means_known_tokens_kept(models, task):
    inpainter, result = run(models, task, 4, keep_tokens=True)
    tokens, hidden = inpainter.encode(*task)
    assert torch.equal(result.trajectory.tokens[-1][~hidden], tokens[~hidden])


def test_pasting_brings_known_pixels_back(models, task):
    images, hole = task
    inpainter, result = run(models, task, 3, paste=True)
    assert np.array_equal(result.images[~hole], images[~hole])
    _, view = inpainter.snapshot(*task, result.trajectory, 3)
    assert np.array_equal(view, result.images)


def test_cooling_and_rising_noise_choose_differently(models, task):
    _, rising = run(models, task, 6)
    _, cooling = run(models, task, 6, cooling=True)
    assert not torch.equal(rising.trajectory.hidden, cooling.trajectory.hidden)


def test_the_labs_loop_is_never_guided(guided_models, task):
    sampler = Sampler(decoder="lab", guidance=0.7)
    fills = [
        make_inpainter(how, *guided_models)(*task, COSINE, 3, image_generators(0, range(2))).images
        for how in (sampler, sampler.changed(guidance=0.0))
    ]
    assert np.array_equal(*fills)
