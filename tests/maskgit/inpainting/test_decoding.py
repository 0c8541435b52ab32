import torch
from hypothesis import given
from hypothesis import strategies as st

from maskgit.inpainting.decoding import (
    ORDERS,
    by_halton,
    decode,
    hidden_counts,
    least_confident,
    sample,
)
from maskgit.schedules import SCHEDULES

CODES, GRID = 12, 4
PLACES = GRID * GRID
orders = st.sampled_from([order(GRID) for order in ORDERS.values()])
schedules = st.sampled_from(sorted(SCHEDULES)).map(SCHEDULES.get)
iterations = st.integers(1, 20)
seeds = st.integers(0, 2**32)


def predict(tokens, hidden):
    """A stand-in for the transformer: depends on every token of the image, on nothing else."""
    context = tokens.double().cumsum(1) + tokens.double().flip(1).cumsum(1).flip(1)
    logits = torch.sin(context[..., None] * torch.arange(1, CODES + 1)) * 2
    return logits[hidden]


def run(tokens, hidden, schedule, steps, order, first_seed=0):
    generators = [torch.Generator().manual_seed(first_seed + i) for i in range(len(tokens))]
    return decode(
        predict,
        tokens,
        hidden,
        CODES,
        schedule,
        steps,
        generators,
        order=order,
    )


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


@given(batch=batches(), schedule=schedules, steps=iterations, order=orders)
def test_laws_of_decoding(batch, schedule, steps, order):
    tokens, hidden = batch
    trajectory = run(tokens, hidden, schedule, steps, order)
    counts = hidden_counts(hidden.sum(dim=1), schedule, steps)
    before_tokens, before_hidden = tokens.masked_fill(hidden, CODES), hidden
    for step in range(steps):
        now, still = trajectory.tokens[step], trajectory.hidden[step]
        assert torch.equal(still.sum(dim=1), counts[step])
        assert not (still & ~before_hidden).any()  # nothing known is hidden again
        assert torch.equal(now[~before_hidden], before_tokens[~before_hidden])
        assert torch.equal(now == CODES, still)
        before_tokens, before_hidden = now, still
    assert not before_hidden.any()
    assert torch.equal(before_tokens[~hidden], tokens[~hidden])


@given(batch=batches(), schedule=schedules, steps=iterations, order=orders)
def test_an_image_does_not_depend_on_its_batch(batch, schedule, steps, order):
    tokens, hidden = batch
    together = run(tokens, hidden, schedule, steps, order).tokens[-1]
    for i in range(len(tokens)):
        alone = run(tokens[i : i + 1], hidden[i : i + 1], schedule, steps, order, first_seed=i)
        assert torch.equal(alone.tokens[-1][0], together[i])


@given(batch=batches(), schedule=schedules, steps=iterations, order=orders, seed=seeds)
def test_what_is_hidden_cannot_leak(batch, schedule, steps, order, seed):
    tokens, hidden = batch
    noise = torch.randint(CODES, tokens.shape, generator=torch.Generator().manual_seed(seed))
    others = torch.where(hidden, noise, tokens)
    first = run(tokens, hidden, schedule, steps, order)
    second = run(others, hidden, schedule, steps, order)
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
    trajectory = decode(
        surer_to_the_left,
        tokens,
        hidden,
        PLACES,
        SCHEDULES["linear"],
        4,
        generators,
        choice_temperature=0.0,
    )
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


def test_samples_follow_the_distribution():
    logits = torch.log(torch.tensor([0.5, 0.3, 0.2])).expand(30000, 3)
    uniform = torch.rand(30000, generator=torch.Generator().manual_seed(0))
    tokens, log_probability = sample(logits, uniform, 1.0)
    share = torch.bincount(tokens, minlength=3) / 30000
    torch.testing.assert_close(share, torch.tensor([0.5, 0.3, 0.2]), atol=0.01, rtol=0)
    expected = logits.double().gather(1, tokens[:, None])[:, 0]
    torch.testing.assert_close(log_probability, expected)


def test_a_low_temperature_takes_the_likeliest():
    logits = torch.randn(200, 9, generator=torch.Generator().manual_seed(0))
    tokens, _ = sample(logits, torch.rand(200), 1e-4)
    assert torch.equal(tokens, logits.argmax(dim=1))


@given(st.floats(0, 1, exclude_max=True, width=32))
def test_impossible_tokens_are_never_drawn(u):
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]])
    tokens, _ = sample(logits, torch.tensor([u]), 1.0)
    assert tokens.item() in (1, 3)


def test_halton_reveals_evenly_over_the_picture():
    order = by_halton(16)
    rank = -order(torch.zeros(256), torch.zeros(256), torch.arange(256))
    assert sorted(rank.tolist()) == list(range(256))
    for first in (16, 64, 128):
        quarters = (rank < first).view(2, 8, 2, 8).sum(dim=(1, 3))
        assert (quarters - first / 4).abs().max() <= 2


def test_halton_order_is_the_sequence_itself():
    """The first points in bases 2 and 3: (1/2, 1/3), (1/4, 2/3), (3/4, 1/9), after (0, 0)."""
    rank = -by_halton(16)(torch.zeros(256), torch.zeros(256), torch.arange(256))
    cells = [0, 8 * 16 + 5, 4 * 16 + 10, 12 * 16 + 1]
    assert rank[cells].tolist() == [0, 1, 2, 3]


def test_at_temperature_zero_the_most_likely_tokens_are_drawn():
    logits = torch.randn(50, CODES, generator=torch.Generator().manual_seed(0))
    tokens, log_probability = sample(logits, torch.rand(50), 0.0)
    assert torch.equal(tokens, logits.argmax(dim=1))
    assert torch.equal(log_probability, logits.double().log_softmax(dim=1).max(dim=1).values)
