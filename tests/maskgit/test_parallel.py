import threading
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskgit.parallel import WAITING, background, batch_invariant_chunks, in_pairs, parallel_map

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


@settings(max_examples=20)
@given(count=st.integers(1, 9), seed=st.integers(0, 2**32))
def test_what_goes_in_pairs_does_not_depend_on_who_else_is_there(count, seed):
    draw = torch.Generator().manual_seed(seed)
    weights = torch.randn(8, 3, 3, 3, generator=draw)
    images, shifts = torch.randn(2, count, 3, 20, 20, generator=draw)
    sizes = []

    def network(some, shift):
        sizes.append(len(some))
        return torch.conv2d(some + shift, weights)

    together = in_pairs(network, images, shifts)
    assert together.shape[0] == count and set(sizes) == {2}
    for i in range(count):
        alone = in_pairs(network, images[i : i + 1], shifts[i : i + 1])
        assert torch.equal(alone[0], together[i])


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


GPU = torch.device("meta")  # any device but the processor will do


def test_on_a_gpu_pieces_of_work_are_done_beside_and_all_before_the_block_ends():
    done, here = [], threading.get_ident()
    with background(GPU) as run:
        for i in range(3 * WAITING):
            run(lambda i: done.append((i, threading.get_ident() != here)), i)
    assert sorted(done) == [(i, True) for i in range(3 * WAITING)]


def test_on_a_processor_a_piece_of_work_is_done_at_once():
    done = []
    with background(CPU) as run:
        run(done.append, 1)
        assert done == [1]


def test_a_piece_of_work_that_fails_is_said_when_the_block_ends():
    with pytest.raises(OSError, match="full"), background(GPU) as run:
        run(fail)


def fail():
    raise OSError("full")
