"""What a training is made of survives being stopped and taken up again."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskgit.training.trainer import RandomGenerators, ShuffledBatches


@given(count=st.integers(1, 20), batch=st.integers(1, 30), seed=st.integers(0, 2**32))
def test_each_index_comes_once_before_any_comes_again(count, batch, seed):
    batches = ShuffledBatches(count, batch, np.random.default_rng(seed))
    drawn = np.concatenate([next(batches) for _ in range(3 * count // batch + 1)])
    for start in range(0, len(drawn) - count + 1, count):
        assert sorted(drawn[start : start + count]) == list(range(count))


@given(before=st.integers(0, 9), after=st.integers(1, 9), seed=st.integers(0, 2**32))
def test_chance_and_batches_go_on_where_they_stopped(before, after, seed):
    def start():
        generators = RandomGenerators(seed, torch.device("cpu"))
        return generators, ShuffledBatches(7, 3, generators.numpy)

    def draw(generators, batches):
        own, everyones = torch.rand(2, generator=generators.torch), torch.rand(2)
        return [*next(batches), *generators.numpy.random(2), *own.tolist(), *everyones.tolist()]

    parts = start()
    for _ in range(before):
        draw(*parts)
    states = [part.state_dict() for part in parts]
    undisturbed = [draw(*parts) for _ in range(after)]
    again = start()
    for part, state in zip(again, states, strict=True):
        part.load_state_dict(state)
    assert [draw(*again) for _ in range(after)] == undisturbed
