from itertools import pairwise
from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from maskgit.inpainting.decoders import (
    Confidence,
    EntropyBound,
    Moment,
    Remask,
    halton_rank,
    moment_power,
)
from maskgit.inpainting.decoding import (
    TokenDecoder,
    decode,
    hidden_counts,
    least_confident,
    sample,
)
from maskgit.inpainting.registry import DECODERS, Registered
from maskgit.inpainting.settings import Sampler
from maskgit.schedules import SCHEDULES
from tests.decoders import any_decoder

CODES, PLACES = 12, 16
decoders = any_decoder().map(lambda name: DECODERS[name].load()())
schedules = st.sampled_from(sorted(SCHEDULES)).map(SCHEDULES.get)
iterations = st.integers(1, 20)
seeds = st.integers(0, 2**32)


def predict(tokens, hidden):
    """A stand-in for the transformer: depends on every token of the image, on nothing else."""
    context = tokens.double().cumsum(1) + tokens.double().flip(1).cumsum(1).flip(1)
    logits = torch.sin(context[..., None] * torch.arange(1, CODES + 1)) * 2
    return logits[hidden]


def run(tokens, hidden, schedule, steps, decoder, first_seed=0):
    generators = [torch.Generator().manual_seed(first_seed + i) for i in range(len(tokens))]
    return decode(decoder, predict, tokens, hidden, CODES, schedule, steps, generators)


@st.composite
def batches(draw):
    generator = torch.Generator().manual_seed(draw(seeds))
    size = draw(st.integers(1, 5))
    tokens = torch.randint(CODES, (size, PLACES), generator=generator)
    share = torch.rand(size, 1, generator=generator) * 1.4 - 0.2  # also empty and full
    return tokens, torch.rand(size, PLACES, generator=generator) < share


@given(counts=st.lists(st.integers(0, 256), min_size=1), schedule=schedules, steps=iterations)
def test_counts_follow_the_schedule_of_each_image(counts, schedule, steps):
    initial = torch.tensor(counts)
    left = hidden_counts(initial, schedule, steps)
    assert (left[-1] == 0).all()
    before = initial
    for step, now in enumerate(left, start=1):
        assert ((now < before) | (before == 0)).all()  # at least one is revealed
        assert (now <= schedule(step / steps) * initial).all()
        before = now


def before_and_after(batch, trajectory):
    """(tokens, hidden) before and after each step."""
    tokens, hidden = batch
    states = [(tokens.masked_fill(hidden, CODES), hidden), *zip(*trajectory, strict=True)]
    return list(pairwise(states))


@given(batch=batches(), schedule=schedules, steps=iterations, decoder=decoders)
def test_known_tokens_never_change(batch, schedule, steps, decoder):
    tokens, hidden = batch
    for now, still in zip(*run(*batch, schedule, steps, decoder), strict=True):
        assert not (still & ~hidden).any()
        assert torch.equal(now[~hidden], tokens[~hidden])


@given(batch=batches(), schedule=schedules, steps=iterations, decoder=decoders)
def test_nothing_stays_hidden_at_the_end(batch, schedule, steps, decoder):
    trajectory = run(*batch, schedule, steps, decoder)
    assert not trajectory.hidden[-1].any() and not (trajectory.tokens[-1] == CODES).any()


@given(batch=batches(), schedule=schedules, steps=iterations, decoder=decoders)
def test_hidden_places_hold_the_mask_token(batch, schedule, steps, decoder):
    trajectory = run(*batch, schedule, steps, decoder)
    assert torch.equal(trajectory.tokens == CODES, trajectory.hidden)


@given(batch=batches(), schedule=schedules, steps=iterations, decoder=decoders)
def test_each_step_reveals_as_many_as_the_schedule_or_at_least_one(batch, schedule, steps, decoder):
    trajectory = run(*batch, schedule, steps, decoder)
    if not decoder.open_ended:
        counts = hidden_counts(batch[1].sum(dim=1), schedule, steps)
        assert torch.equal(trajectory.hidden.sum(dim=2), counts)
    for (_, before), (_, still) in before_and_after(batch, trajectory):
        assert ((still.sum(dim=1) < before.sum(dim=1)) | ~before.any(dim=1)).all()


@given(batch=batches(), schedule=schedules, steps=iterations, decoder=decoders)
def test_decided_tokens_change_only_where_they_were_hidden_again(batch, schedule, steps, decoder):
    trajectory = run(*batch, schedule, steps, decoder)
    for (tokens, before), (now, still) in before_and_after(batch, trajectory):
        kept = ~before & ~still
        assert torch.equal(now[kept], tokens[kept])
        if not isinstance(decoder, Remask):
            assert not (still & ~before).any()


@given(batch=batches(), schedule=schedules, steps=iterations, decoder=decoders)
def test_an_image_does_not_depend_on_its_batch(batch, schedule, steps, decoder):
    tokens, hidden = batch
    together = run(tokens, hidden, schedule, steps, decoder).tokens[-1]
    for i in range(len(tokens)):
        alone = run(tokens[i : i + 1], hidden[i : i + 1], schedule, steps, decoder, first_seed=i)
        assert torch.equal(alone.tokens[-1][0], together[i])


@given(batch=batches(), schedule=schedules, steps=iterations, decoder=decoders, seed=seeds)
def test_what_is_hidden_cannot_leak(batch, schedule, steps, decoder, seed):
    tokens, hidden = batch
    noise = torch.randint(CODES, tokens.shape, generator=torch.Generator().manual_seed(seed))
    others = torch.where(hidden, noise, tokens)
    first = run(tokens, hidden, schedule, steps, decoder)
    second = run(others, hidden, schedule, steps, decoder)
    assert torch.equal(first.tokens, second.tokens)


def test_without_noise_the_most_confident_are_kept():
    tokens = torch.zeros(1, PLACES, dtype=torch.int64)
    hidden = torch.ones(1, PLACES, dtype=torch.bool)

    def surer_to_the_left(tokens, hidden):
        """Place i chooses evenly among i + 1 codes: whatever it draws has log-probability
        -log(i + 1)."""
        possible = torch.arange(PLACES) <= torch.arange(PLACES)[:, None]
        return torch.zeros(PLACES, PLACES).masked_fill(~possible, -torch.inf)[hidden[0]]

    generators = [torch.Generator().manual_seed(0)]
    task = surer_to_the_left, tokens, hidden, PLACES, SCHEDULES["linear"], 4, generators
    trajectory = decode(Confidence(choice_temperature=0.0), *task)
    for step, still in enumerate(trajectory.hidden, start=1):
        known = PLACES * step // 4
        assert not still[0, :known].any() and still[0, known:].all()


@given(st.lists(st.sampled_from([0.0, 1.0, torch.inf]), min_size=4, max_size=4), st.integers(0, 4))
def test_least_confident_are_exactly_as_many_as_asked_for(values, count):
    confidence = torch.tensor([values])
    chosen = least_confident(confidence, torch.tensor([count]))
    assert chosen.sum() == count
    if 0 < count < 4:
        assert confidence[chosen].max() <= confidence[~chosen].min()


@pytest.mark.parametrize("sharpness", [1.0, 2.0])
def test_samples_follow_the_distribution(sharpness):
    probability = torch.tensor([0.5, 0.3, 0.2], dtype=torch.double)
    uniform = torch.rand(30000, generator=torch.Generator().manual_seed(0))
    tokens = sample(probability.log().expand(30000, 3), uniform, sharpness)
    share = torch.bincount(tokens, minlength=3).double() / 30000
    expected = probability**sharpness / (probability**sharpness).sum()
    torch.testing.assert_close(share, expected, atol=0.01, rtol=0)


@pytest.mark.parametrize("sharpness", [1e4, torch.inf])
def test_the_sharpest_draw_is_the_likeliest(sharpness):
    log_probabilities = torch.randn(200, 9, generator=torch.Generator().manual_seed(0)).double()
    tokens = sample(log_probabilities.log_softmax(dim=1), torch.rand(200), sharpness)
    assert torch.equal(tokens, log_probabilities.argmax(dim=1))


@given(st.floats(0, 1, exclude_max=True, width=32))
def test_impossible_tokens_are_never_drawn(u):
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]]).double()
    assert sample(logits.log_softmax(dim=1), torch.tensor([u])).item() in (1, 3)


def test_halton_reveals_evenly_over_the_picture():
    rank = halton_rank(16)
    assert sorted(rank.tolist()) == list(range(256))
    for first in (16, 64, 128):
        quarters = (rank < first).view(2, 8, 2, 8).sum(dim=(1, 3))
        assert (quarters - first / 4).abs().max() <= 2


def test_halton_order_is_the_sequence_itself():
    """The first points in bases 2 and 3: (1/2, 1/3), (1/4, 2/3), (3/4, 1/9), after (0, 0)."""
    cells = [0, 8 * 16 + 5, 4 * 16 + 10, 12 * 16 + 1]
    assert halton_rank(16)[cells].tolist() == [0, 1, 2, 3]


def test_at_temperature_zero_the_most_likely_tokens_are_drawn():
    tokens = torch.zeros(3, PLACES, dtype=torch.int64)
    hidden = torch.ones(3, PLACES, dtype=torch.bool)
    generators = [torch.Generator().manual_seed(i) for i in range(3)]
    task = predict, tokens, hidden, CODES, SCHEDULES["linear"], 1, generators
    found = decode(Confidence(temperature=0.0), *task).tokens[-1]
    likeliest = predict(tokens.masked_fill(hidden, CODES), hidden).argmax(dim=1)
    assert torch.equal(found, likeliest.view_as(found))


def kept_tokens(decoder, choice_temperature, images=4000):
    """Of 64 places alike, the shares (3,) of the tokens that a step keeps where it keeps one.

    The first of two steps keeps one, at this choice temperature.
    """
    places = 64
    logits = torch.log(torch.tensor([0.6, 0.3, 0.1]))
    found = decode(
        decoder(choice_temperature=2 * choice_temperature),
        lambda tokens, hidden: logits.expand(int(hidden.sum()), 3),
        torch.zeros(images, places, dtype=torch.int64),
        torch.ones(images, places, dtype=torch.bool),
        3,
        lambda r: 1 - 1 / places if r < 1 else 0.0,
        2,
        [torch.Generator().manual_seed(i) for i in range(images)],
    )
    first = found.tokens[0][~found.hidden[0]]
    assert len(first) == images
    return torch.bincount(first, minlength=3).double() / images


@pytest.mark.parametrize("choice_temperature", [0.5, 2.0])
@pytest.mark.parametrize("decoder", [Confidence, Moment])
def test_what_is_kept_of_many_is_as_if_drawn_cooler(decoder, choice_temperature):
    """Hayakawa et al., arXiv 2510.04525: MaskGIT's implicit temperature, which `Moment` states."""
    sharper = torch.tensor([0.6, 0.3, 0.1], dtype=torch.double) ** moment_power(choice_temperature)
    shares = kept_tokens(decoder, choice_temperature)
    torch.testing.assert_close(shares, sharper / sharper.sum(), atol=0.03, rtol=0)


def predict_by_place(tokens, hidden):
    """Place i chooses evenly among i + 1 codes: its entropy is log(i + 1)."""
    possible = torch.arange(PLACES) <= torch.arange(PLACES)[:, None]
    logits = torch.zeros(PLACES, PLACES).masked_fill(~possible, -torch.inf)
    return logits.expand(len(tokens), PLACES, PLACES)[hidden]


@pytest.mark.parametrize("bound", [0, 2, 5])
def test_the_entropy_bound_holds_and_is_used(bound):
    tokens = torch.zeros(1, PLACES, dtype=torch.int64)
    hidden = torch.ones(1, PLACES, dtype=torch.bool)
    generators = [torch.Generator().manual_seed(0)]
    task = predict_by_place, tokens, hidden, PLACES, SCHEDULES["linear"], bound, generators
    trajectory = decode(EntropyBound(), *task)
    entropies = torch.arange(1, PLACES + 1).double().log()
    before = 0
    for still in trajectory.hidden:
        now = PLACES - int(still.sum())
        assert not still[0, :now].any()  # by rising entropy
        assert entropies[before : now - 1].sum() <= bound  # all but the largest
        if now < PLACES:
            assert entropies[before:now].sum() > bound  # one more would not do
        before = now
    assert before == PLACES
    assert trajectory.steps().tolist() == [len(trajectory.hidden)]


def test_an_image_takes_no_more_steps_than_it_needs():
    tokens = torch.zeros(2, PLACES, dtype=torch.int64)
    hidden = torch.arange(PLACES) < torch.tensor([[2], [PLACES]])
    trajectory = run(tokens, hidden, SCHEDULES["linear"], 0, EntropyBound())
    few, many = trajectory.steps().tolist()
    assert few <= 2 < many == len(trajectory.hidden)


def test_remasking_reconsiders_the_least_likely_first():
    """Place i chooses evenly among i + 1 codes: the last of those decided are in most doubt."""
    tokens = torch.zeros(1, PLACES, dtype=torch.int64)
    hidden = torch.ones(1, PLACES, dtype=torch.bool)
    generators = [torch.Generator().manual_seed(0)]
    task = predict_by_place, tokens, hidden, PLACES, SCHEDULES["linear"], 4, generators
    trajectory = decode(Remask(choice_temperature=0.0), *task)
    first, second, third, last = trajectory.hidden[:, 0]
    assert first.tolist() == [False] * 4 + [True] * 12
    assert second.tolist() == [False] * 3 + [True] + [False] * 5 + [True] * 7
    assert third.sum() == 4 and not last.any()
    changed = trajectory.tokens[-1][0] != trajectory.tokens[0][0]
    assert changed[4:].any()


class Raster(TokenDecoder):
    """Row by row, as one reads."""

    def score(self, drawn):
        return -drawn.place.double()


class Forgetful(TokenDecoder):
    """Breaks a law: the last place is hidden again at every step but the first."""

    def still_hidden(self, choice, budget):
        return least_confident(choice.score, budget) | (
            ~choice.hidden & (torch.arange(PLACES) == PLACES - 1)
        )


def test_a_registered_decoder_is_found_by_its_name(monkeypatch):
    monkeypatch.setitem(DECODERS, "raster", Registered(f"{__name__}:Raster"))
    sampler = Sampler(decoder="raster", temperature=0.5)
    assert DECODERS["raster"].load().from_settings(sampler) == Raster(temperature=0.5)
    with pytest.raises(ValidationError, match=r"should be one of confidence, .*, raster"):
        Sampler(decoder="greedy")


def test_the_laws_run_over_whatever_is_registered():
    with patch.dict(DECODERS, {"raster": Registered(f"{__name__}:Raster")}, clear=True):
        for law in LAWS:
            law()
    lawless = {"raster": Registered(f"{__name__}:Forgetful")}
    with patch.dict(DECODERS, lawless, clear=True), pytest.raises(AssertionError):
        test_known_tokens_never_change()


LAWS = (
    test_known_tokens_never_change,
    test_nothing_stays_hidden_at_the_end,
    test_hidden_places_hold_the_mask_token,
    test_each_step_reveals_as_many_as_the_schedule_or_at_least_one,
    test_decided_tokens_change_only_where_they_were_hidden_again,
    test_an_image_does_not_depend_on_its_batch,
    test_what_is_hidden_cannot_leak,
)


def test_a_decoder_is_not_changed_and_what_is_made_of_it_is_checked():
    decoder = Confidence()
    with pytest.raises(ValidationError, match="frozen"):
        decoder.temperature = 2.0
    assert decoder.changed(temperature=2.0) == Confidence(temperature=2.0)
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        decoder.changed(temperature=-1)
    with pytest.raises(ValidationError, match="choice_temperature"):
        EntropyBound(choice_temperature=1.0)  # it has none


@given(batch=batches(), bound=st.integers(1, 8))
def test_what_an_open_ended_decoder_draws_next_does_not_depend_on_the_batch(batch, bound):
    """Each image's random numbers go on where its own decoding ended."""
    tokens, hidden = batch
    together = [torch.Generator().manual_seed(i) for i in range(len(tokens))]
    task = CODES, SCHEDULES["linear"], bound
    decode(EntropyBound(), predict, tokens, hidden, *task, together)
    for i in range(len(tokens)):
        alone = torch.Generator().manual_seed(i)
        decode(EntropyBound(), predict, tokens[i : i + 1], hidden[i : i + 1], *task, [alone])
        assert torch.equal(alone.get_state(), together[i].get_state())
