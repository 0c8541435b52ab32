import pytest
import torch
from torch import nn

from maskgit import device
from maskgit.device import best_device, bf16_is_faster, compiled

CPU = torch.device("cpu")


def test_on_a_processor_nothing_is_compiled():
    network = nn.Linear(2, 2)
    assert compiled(network, CPU) is network


def test_without_a_compiler_nothing_is_compiled_and_one_line_says_so(monkeypatch, capsys):
    def no_compiler(function):
        raise RuntimeError("Failed to find C compiler.\nPlease specify via CC environment variable")

    monkeypatch.setattr(device, "find_spec", lambda name: "there")
    monkeypatch.setattr(torch, "compile", no_compiler)
    network = nn.Linear(2, 2)
    assert compiled(network, torch.device("cuda")) is network
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("training is not compiled (RuntimeError: Failed to find C compiler.")


@pytest.mark.parametrize(
    ("cuda", "mps", "chosen", "expected"),
    [
        (False, False, "", "cpu"),
        (False, True, "", "mps"),
        (True, False, "", "cuda"),
        (True, True, "", "cuda"),
        (True, True, "cpu", "cpu"),
    ],
)
def test_a_gpu_is_chosen_where_there_is_one_unless_another_device_is_named(
    monkeypatch, cuda, mps, chosen, expected
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setenv(device.DEVICE, chosen)
    assert best_device().type == expected


@pytest.mark.parametrize("chosen", ["gpu", "cuda", "mps", "cuda:0"])
def test_a_device_that_is_not_there_is_named_with_those_that_are(monkeypatch, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setenv(device.DEVICE, chosen)
    with pytest.raises(device.NoSuchDevice, match=f"no device '{chosen}' here .*, only cpu"):
        best_device()


@pytest.mark.parametrize("real", [True, False])
def test_a_gpu_that_only_emulates_bf16_keeps_float32(monkeypatch, real):
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda including_emulation=True: including_emulation or real,
    )
    assert bf16_is_faster.__wrapped__(torch.device("cuda")) == real


def test_apples_gpus_keep_float32():
    assert not bf16_is_faster(torch.device("mps"))
