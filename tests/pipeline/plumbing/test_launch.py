"""Each process of torchrun has a GPU of its own; a CUDA graph is for a single one."""

import pytest
import torch

from pipeline.plumbing import launch
from pipeline.plumbing.errors import UserError


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_a_process_takes_the_gpu_of_its_number_on_this_machine(monkeypatch, two_gpus):
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert launch.own_gpu() == 1


def test_more_processes_than_gpus_are_refused_in_one_line(monkeypatch, two_gpus):
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(UserError, match="more processes than this machine has GPUs \\(2\\)"):
        launch.own_gpu()


def test_a_launcher_that_is_not_torchrun_does_not_start_itself_without_end(monkeypatch):
    monkeypatch.setenv(launch.VARIABLE, "mpirun -n 2 python")
    monkeypatch.setenv(launch.LAUNCHED, "1")  # as in a process that it has started
    message = "MASKGIT_LAUNCH has to start torchrun; mpirun did not"
    with pytest.raises(UserError, match=message), launch.several_processes():
        pass


def test_several_processes_on_an_apple_gpu_are_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(launch.dist, "is_torchelastic_launched", lambda: True)
    monkeypatch.setattr(launch, "best_device", lambda: torch.device("mps"))
    message = "several processes need MASKGIT_DEVICE=cpu"
    with pytest.raises(UserError, match=message), launch.several_processes():
        pass


def test_a_launcher_with_an_open_quotation_is_refused_in_one_line(monkeypatch):
    monkeypatch.setenv(launch.VARIABLE, "torchrun --log-dir 'logs")
    with pytest.raises(UserError, match="MASKGIT_LAUNCH is no command: no closing quotation"):
        launch.launch_command()


@pytest.mark.parametrize(
    ("asked", "kind", "processes", "expected"),
    [
        ("1", "cuda", 1, True),
        ("", "cuda", 1, False),
        ("1", "cpu", 1, False),
        ("1", "cuda", 2, False),
    ],
)
def test_graphs_are_for_one_process_on_a_gpu_that_asks_for_them(
    monkeypatch, asked, kind, processes, expected
):
    monkeypatch.setenv(launch.GRAPHS, asked)
    monkeypatch.setattr(launch, "best_device", lambda: torch.device(kind))
    monkeypatch.setattr(launch.ranks, "world_size", lambda: processes)
    assert launch.cuda_graphs() == expected
