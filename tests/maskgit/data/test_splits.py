import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskgit.data.splits import SPLITS, assign_splits


@given(
    count=st.integers(20, 2000),
    validation=st.floats(0.01, 0.2),
    test=st.one_of(st.integers(1, 5), st.floats(0.05, 0.25)),
    seed=st.integers(0, 2**32),
)
def test_every_image_has_one_split_and_none_is_empty(count, validation, test, seed):
    splits = assign_splits(count, validation, test, seed)
    sizes = {name: int((splits == name).sum()) for name in SPLITS}
    assert sum(sizes.values()) == count and min(sizes.values()) >= 1
    assert sizes["test"] == (test if isinstance(test, int) else round(count * test))
    assert np.array_equal(splits, assign_splits(count, validation, test, seed))


@pytest.mark.parametrize(("count", "test"), [(3, 2), (10, 9), (10, 0.01), (0, 1)])
def test_too_few_images(count, test):
    with pytest.raises(ValueError, match="too few"):
        assign_splits(count, 0.06, test, 0)
