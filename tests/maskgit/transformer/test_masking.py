import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskgit.schedules import SCHEDULES
from maskgit.tokenizer.hidden_tokens import hidden_tokens
from maskgit.transformer.masking import fixed_batches, random_hidden


@given(y=st.integers(0, 63), x=st.integers(0, 63), margin=st.integers(0, 2))
def test_a_pixel_hides_exactly_the_tokens_that_see_it(y, x, margin):
    hole = torch.zeros(1, 64, 64, dtype=torch.bool)
    hole[0, y, x] = True
    hidden = hidden_tokens(hole, 4, margin)[0]
    for i in range(16):
        for j in range(16):
            sees = (
                4 * i - margin <= y < 4 * i + 4 + margin
                and 4 * j - margin <= x < 4 * j + 4 + margin
            )
            assert hidden[i, j] == sees


@given(seed=st.integers(0, 2**32), name=st.sampled_from(sorted(SCHEDULES)))
def test_random_masks_hide_the_exact_count_that_gamma_asks_for(seed, name):
    gamma = SCHEDULES[name]
    hidden = random_hidden(8, 256, gamma, torch.Generator().manual_seed(seed))
    ratio = torch.rand(8, generator=torch.Generator().manual_seed(seed))  # drawn first
    for row, r in zip(hidden, ratio.tolist(), strict=True):
        assert row.sum().item() == np.ceil(max(1.0, np.float32(gamma(r) * 256)))


def test_every_place_is_hidden_alike():
    hidden = random_hidden(4000, 16, SCHEDULES["linear"], torch.Generator().manual_seed(0))
    share = hidden.float().mean(dim=0)
    assert (share - share.mean()).abs().max() < 0.04


def test_fixed_batches_stay_the_same_and_mix_both_kinds():
    tokens = np.arange(10 * 256, dtype=np.uint16).reshape(10, 256)
    holes = np.zeros((3, 256), dtype=bool)
    holes[:, 7] = True
    first, second = (fixed_batches(tokens, holes, SCHEDULES["cosine"], 5, 4) for _ in range(2))
    assert [len(batch) for batch, _ in first] == [4, 4, 2]
    for (tokens_a, hidden_a), (tokens_b, hidden_b) in zip(first, second, strict=True):
        assert torch.equal(tokens_a, tokens_b) and torch.equal(hidden_a, hidden_b)
        assert (hidden_a[::2].sum(dim=1) == 1).all() and hidden_a[::2, 7].all()
