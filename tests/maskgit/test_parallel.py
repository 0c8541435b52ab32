import threading
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskgit.parallel import batch_invariant_chunks, parallel_map

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@given(count=st.integers(1, 20))
def test_on_a_processor_each_row_goes_alone(count):
    batch = torch.arange(3 * count).view(count, 3)
    parts = batch_invariant_chunks(batch)
    assert [len(part) for part in parts] == [1] * count
    assert torch.equal(torch.cat(parts), batch)


def test_pieces_come_in_order_each_on_one_core():
    before = torch.get_num_threads()
    with parallel_map(lambda i: (i, torch.get_num_threads()), range(9), CPU) as made:
        assert list(made) == [(i, 1) for i in range(9)]
    assert torch.get_num_threads() == before


def test_after_a_failure_no_more_pieces_are_begun():
    before, begun = torch.get_num_threads(), []

    def work(i):
        begun.append(i)
        if i == 0:
            raise ValueError("no")
        time.sleep(0.01)

    with pytest.raises(ValueError, match="no"), parallel_map(work, range(1000), CPU) as made:
        list(made)
    assert len(begun) < 1000
    assert torch.get_num_threads() == before


@pytest.fixture
def pieces():
    """Work that takes a moment, and the numbers of the pieces that were begun and done."""
    begun, done = [], []

    def work(i):
        begun.append(i)
        time.sleep(0.05)
        done.append(i)

    return work, begun, done


def test_what_stops_the_block_leaves_nothing_at_work(pieces):
    work, begun, done = pieces
    with pytest.raises(SystemExit), parallel_map(work, range(1000), CPU) as made:
        next(made)
        raise SystemExit
    assert sorted(begun) == sorted(done)
    assert len(begun) < 1000


@pytest.mark.parametrize("nth", [1, 2])
def test_a_stop_while_the_threads_start_leaves_nothing_at_work(pieces, nth, monkeypatch):
    work, begun, done = pieces
    start, started = threading.Thread.start, []

    def start_and_stop(thread):
        start(thread)
        started.append(thread)
        if len(started) == nth:
            raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start_and_stop)
        with pytest.raises(SystemExit), parallel_map(work, range(1000), CPU):
            pass
    assert sorted(begun) == sorted(done)
