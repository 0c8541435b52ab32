import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskgit.schedules import NAMES, SCHEDULES, entropic, make_gamma

ratios = st.floats(0, 1)


EVERY = SCHEDULES | {"entropic": entropic([3.5, 4.0, 3.9, 5.2])}


@pytest.mark.parametrize("gamma", EVERY.values(), ids=EVERY)
class TestEverySchedule:
    def test_starts_with_everything_hidden_and_ends_with_nothing(self, gamma):
        assert gamma(0.0) == 1
        assert gamma(1.0) == 0

    @given(r=ratios)
    def test_is_a_share(self, gamma, r):
        assert 0 <= gamma(r) <= 1

    @given(a=ratios, b=ratios)
    def test_never_rises(self, gamma, a, b):
        assert gamma(min(a, b)) >= gamma(max(a, b))


def test_exp_and_log_are_those_of_the_published_code():
    """mask_schedule.py of MaskGIT at 256 tokens: 1 - 2 ** (-8 * (1 - r)), and -log2(r) / 8."""
    for r in (0.125, 0.5, 0.75):
        assert SCHEDULES["exp"](r) == pytest.approx(1 - 2 ** (-8 * (1 - r)))
        assert SCHEDULES["log"](r) == pytest.approx(-np.log2(r) / 8)


def test_the_paper_s_values():
    assert SCHEDULES["cosine"](0.5) == pytest.approx(2**-0.5)
    assert SCHEDULES["square"](0.5) == 0.75
    assert SCHEDULES["cubic"](0.5) == 0.875
    assert SCHEDULES["sqrt"](0.25) == 0.5


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=20), st.integers(1, 12))
def test_the_entropic_schedule_decides_an_equal_share_at_each_step(nats, steps):
    gamma = entropic(nats)
    shares = np.linspace(0, 1, len(nats) + 1)

    def left(share):
        """What is uncertain with this share hidden."""
        up_to = np.append(shares[shares < share], share)
        return np.trapezoid(np.interp(up_to, shares, [nats[0], *nats]), up_to)

    each = [left(gamma(i / steps)) - left(gamma((i + 1) / steps)) for i in range(steps)]
    assert each == pytest.approx([left(1) / steps] * steps, rel=1e-2, abs=2e-3 * max(nats))


@given(st.floats(0.01, 100), ratios)
def test_where_every_token_costs_the_same_entropic_is_linear(nats, r):
    assert entropic([nats] * 8)(r) == pytest.approx(1 - r)


@pytest.mark.parametrize("name", NAMES)
def test_a_schedule_is_made_by_its_name(name):
    assert make_gamma(name, [3.5, 4.0, 5.2])(0.3) == (EVERY | OF_THREE)[name](0.3)


OF_THREE = {"entropic": entropic([3.5, 4.0, 5.2])}


@pytest.mark.parametrize("name", ["typo", "", "Cosine"])
def test_an_unknown_name_is_an_error_that_names_the_schedules(name):
    with pytest.raises(ValueError, match=rf"gamma should be one of cosine, .*entropic.*'{name}'"):
        make_gamma(name, [3.5, 4.0])


def test_entropic_needs_a_transformers_uncertainty():
    with pytest.raises(ValueError, match="gamma should be one of cosine"):
        make_gamma("entropic")
