import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskgit.schedules import SCHEDULES

ratios = st.floats(0, 1)


@pytest.mark.parametrize("gamma", SCHEDULES.values(), ids=SCHEDULES)
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


def test_the_paper_s_values():
    assert SCHEDULES["cosine"](0.5) == pytest.approx(2**-0.5)
    assert SCHEDULES["square"](0.5) == 0.75
    assert SCHEDULES["cubic"](0.5) == 0.875
    assert SCHEDULES["sqrt"](0.25) == 0.5
