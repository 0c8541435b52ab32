"""What a preset costs is measured by one command, here on a processor. No time is asserted."""

import shutil
import weakref
from functools import partial

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from maskgit.device import DEVICE, best_device
from pipeline.bench import presets
from pipeline.bench.models import our_training
from pipeline.bench.race import count_flops
from pipeline.bench.step_memory import training_gigabytes
from pipeline.cli import app
from pipeline.plumbing.params import load_params
from tests.clone import ROOT


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name in ("params.yaml", "presets.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(DEVICE, "")  # else the command would set it for other tests, too
    return tmp_path


def bench(*arguments):
    return CliRunner().invoke(app, ["bench", *arguments])


def test_one_command_measures_a_preset_on_the_processor(project):
    result = bench("--device", "cpu", "--presets", "tiny, tiny")
    assert result.exit_code == 0, result.output
    (row,) = pd.read_csv(project / "reports/bench_presets.csv").to_dict("records")
    assert (row["preset"], row["device"]) == ("tiny", "cpu")
    unknown = {"gigabytes_used"} | {name for name in presets.COLUMNS if name.endswith("_peak")}
    assert all(row[name] > 0 for name in presets.COLUMNS.keys() - unknown)
    assert all(pd.isna(row[name]) for name in unknown)  # of a processor
    labels = [line.split("  ")[0] for line in result.output.splitlines()[2:]]
    assert labels[: len(presets.COLUMNS)] == list(presets.COLUMNS.values())


def test_steps_are_measured_also_where_a_transformer_is_kept(project):
    params = load_params(preset="tiny")
    train = params.train.changed(start_from="model", steps=0)
    assert our_training(params.changed(train=train), 8).steps > 0


SETTINGS = {
    "a share, scalars and a measured schedule": (
        {"test": 0.1},
        {"quantizer": "fsq"},
        {"gamma": "entropic"},
    ),
    "a discriminator": ({}, {"adversarial_weight": 0.1}, {}),
}


@pytest.mark.parametrize(("data", "vqgan", "own"), SETTINGS.values(), ids=SETTINGS)
def test_a_preset_is_measured_with_other_settings_of_the_project(project, data, vqgan, own):
    params = load_params(preset="tiny")
    data, vqgan = params.data.changed(**data), params.vqgan.changed(**vqgan)
    row = presets.measure(params.changed(data=data, vqgan=vqgan, **own))
    assert row["minutes"] > 0 and row["gigabytes"] > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--device", "tpu", "--presets", "tiny"], "no device 'tpu' here (MASKGIT_DEVICE), only"),
        (["--device", "cpu"], "--device belongs to --presets"),
        (["--presets", "tiny,huge"], "--presets: 'huge' should be of tiny, laptop,"),
        (["--presets", ""], "--presets: '' should be of tiny,"),
        (["--presets", "tiny,"], "--presets: '' should be of tiny,"),
        (["--presets", "tiny", "--only", "train"], "--only does not go with --presets"),
        (["--presets", "tiny", "--photos", "x"], "--photos does not go with --presets"),
        (["--photos", "x", "--repeats", "3"], "--repeats does not go with --photos"),
        (["--only", "photos", "--size", "lab"], "--size does not go with --only photos"),
        (["--only", "photos", "--repeats", "3"], "--repeats does not go with --only photos"),
    ],
)
def test_wrong_arguments_are_told_in_one_line(project, arguments, said):
    result = bench(*arguments)
    assert isinstance(result.exception, SystemExit)
    assert said in str(result.exception)


def test_half_a_batch_takes_half_the_memory_beside_what_is_fixed(project):
    make = partial(presets.tokenizer_trainer, load_params(preset="tiny"))
    whole, half, none = (training_gigabytes(make, 32, parts, data=0.0) for parts in (1, 2, 32))
    assert none < half < whole
    assert whole - half == pytest.approx((half - none) * 16 / 15)


@pytest.mark.parametrize("make", [presets.tokenizer_trainer, presets.decoder_trainer])
def test_the_operations_of_a_batch_are_those_that_two_small_ones_tell(project, make):
    trainer = partial(make, load_params(preset="tiny"))
    few, many = (count_flops(trainer(images).step)[0] for images in (2, 9))
    assert presets.step_flops(trainer, 9) == pytest.approx(many, rel=0.02)  # holes differ in size
    assert few / 2 * 9 > 1.02 * many  # an optimiser works once a step


def test_copies_of_weights_in_half_precision_are_not_taken_for_less_than_nothing(project):
    """A step under autocast keeps these in place of the weights."""

    class Step:
        def __init__(self, images):
            self.layer, self.images = torch.nn.Linear(256, 256, bias=False), images
            self.parts = {"model": self.layer}

        def state_dict(self):
            return self.layer.state_dict()

        def step(self):
            with torch.autocast("cpu", torch.bfloat16):
                self.layer(torch.zeros(self.images, 256)).sum().backward()

    few, many = (training_gigabytes(Step, batch, 1, data=0.0) for batch in (1000, 2000))
    assert many - few == pytest.approx(1.2 * 1000 * 256 * 2 / 1e9, rel=0.01)


def measure_all_but_laptop(monkeypatch, fault):
    def measure(params):
        if params.preset == "laptop":
            raise fault
        return dict.fromkeys(presets.COLUMNS, 1.0)

    monkeypatch.setattr(presets, "measure", measure)


@pytest.mark.parametrize(
    "fault",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_a_preset_that_needs_too_much_memory_is_told_and_the_next_is_measured(
    project, monkeypatch, capsys, fault
):
    measure_all_but_laptop(monkeypatch, fault)
    presets.run_presets("cpu", ["laptop", "tiny"])
    said = capsys.readouterr().out
    assert "laptop: out of memory; -S train.accumulate=2" in said
    (minutes,) = [line.split() for line in said.splitlines() if line.startswith("minutes ")]
    assert minutes == ["minutes", "1"]
    table = pd.read_csv(project / "reports/bench_presets.csv")
    assert table["preset"].tolist() == ["laptop", "tiny"]
    assert table["minutes"].isna().tolist() == [True, False]


def test_the_device_that_is_named_is_taken(project, monkeypatch):
    measure_all_but_laptop(monkeypatch, None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    presets.run_presets("cpu", ["tiny"])
    assert best_device() == torch.device("cpu")


def test_a_preset_that_fails_leaves_the_rows_before_it(project, monkeypatch):
    measure_all_but_laptop(monkeypatch, RuntimeError("a kernel is missing"))
    with pytest.raises(RuntimeError):
        presets.run_presets("cpu", ["tiny", "laptop"])
    assert pd.read_csv(project / "reports/bench_presets.csv")["preset"].tolist() == ["tiny"]


def test_a_training_that_refers_to_itself_is_freed(monkeypatch, project):
    class Cyclic:
        def __init__(self):
            self.itself = self

        def step(self):
            pass

    made = []

    def make():
        made.append(weakref.ref(trainer := Cyclic()))
        return trainer

    presets.step_seconds(make, on_gpu=False)
    presets.free_memory()
    assert made[0]() is None
