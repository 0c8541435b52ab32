"""Work shared among processes: the same results in the same order, and nothing is left running."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from pipeline.plumbing import workers
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.workers import Workers
from tests.clone import ROOT

SUMS = [f"sum(range({n}))" for n in range(30)]
SLEEP = "__import__('time').sleep(60)"
DIE = "__import__('os').kill(__import__('os').getpid(), 9)"


@pytest.fixture
def eager(monkeypatch):
    """Processes are worth their start from the second block on."""
    monkeypatch.setattr(workers, "_PAYS", -1)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_results_come_in_order_from_any_number_of_processes(eager, count):
    with Workers(count) as shared:
        for _ in range(2):
            assert list(shared.map(eval, SUMS)) == [n * (n - 1) // 2 for n in range(30)]
        pids = set(shared.map(eval, ["__import__('os').getpid()"] * 30))
    assert pids == {os.getpid()} if count == 1 else os.getpid() not in pids
    assert not any(map(psutil.pid_exists, pids - {os.getpid()}))


def test_little_work_starts_no_process():
    with Workers(2) as shared:
        assert len(list(shared.map(eval, SUMS))) == 30
        assert shared.pool is None


def test_few_blocks_are_on_their_way_at_a_time(eager):
    taken = []
    with Workers(2) as shared:
        blocks = (taken.append(text) or text for text in SUMS)
        for done, _ in enumerate(shared.map(eval, blocks, total=30)):
            assert len(taken) <= done + 6


def test_processes_have_one_thread_each(eager):
    with Workers(2) as shared:
        assert list(shared.map(eval, ["0", "__import__('cv2').getNumThreads()"])) == [0, 1]


def test_errors_are_those_of_the_work(eager):
    with pytest.raises(ZeroDivisionError), Workers(2) as shared:
        list(shared.map(eval, ["1", "2", "1 / 0", *[SLEEP] * 9]))


def test_a_killed_process_is_told_in_one_line(eager):
    with pytest.raises(UserError, match="killed, most likely for want"), Workers(2) as shared:
        list(shared.map(eval, ["1", "2", DIE, "3"]))


PROGRAM = f"""
print("loaded", flush=True)
from pipeline.plumbing import workers
from pipeline.plumbing.errors import plain_errors

workers._PAYS = -1
with plain_errors(), workers.Workers(2) as shared:
    for result in shared.map(eval, ["1", "2", *[{SLEEP!r}] * 9]):
        print(result, flush=True)
"""


@pytest.fixture
def busy(tmp_path):
    """A program whose two processes are at work, in a group of their own, and these processes."""
    (tmp_path / "program.py").write_text(PROGRAM)
    program = subprocess.Popen(
        [sys.executable, tmp_path / "program.py"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert program.stdout.readline() == "loaded\n"
    assert program.stdout.readline() == "1\n"
    parent = psutil.Process(program.pid)
    while len(parent.children()) < 3:  # and multiprocessing's own
        time.sleep(0.05)
    children = parent.children()
    yield program, children
    program.kill()
    program.communicate()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_one_line_and_nothing_is_left_running(busy, stop):
    program, children = busy
    os.killpg(program.pid, stop)  # as Ctrl-C does
    answers, said = program.communicate(timeout=120)
    assert program.returncode == 128 + stop
    assert said.splitlines() == ["stopped"] and "loaded" not in answers  # by the two processes
    assert psutil.wait_procs(children, timeout=30)[1] == []


def test_nothing_outlives_a_killed_program(busy):
    program, children = busy
    program.kill()
    assert psutil.wait_procs(children, timeout=30)[1] == []
