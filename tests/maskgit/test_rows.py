import numpy as np
import pytest
import torch

from maskgit.rows import Rows


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, bool])
def test_rows_of_a_memory_map_are_those_of_the_array(tmp_path, dtype):
    array = np.random.default_rng(0).integers(300, size=(2, 7, 3)).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    rows = Rows(np.load(tmp_path / "a.npy", mmap_mode="r"), torch.device("cpu"))
    view, row = np.array([0, 1, 1, 0]), np.array([6, 0, 6, 6])
    assert np.array_equal(rows[view, row].numpy(), array[view, row])
    assert np.array_equal(rows[view,].numpy(), array[view])
