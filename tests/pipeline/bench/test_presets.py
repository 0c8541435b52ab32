"""What a preset costs is measured by one command, here on a processor. No time is asserted."""

import shutil
from functools import partial

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from maskgit.device import DEVICE, best_device
from pipeline.bench import presets
from pipeline.bench.race import count_flops
from pipeline.bench.step_memory import training_gigabytes
from pipeline.cli import app
from pipeline.plumbing.errors import UserError
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
    result = bench("--device", "cpu", "--presets", "tiny")
    assert result.exit_code == 0, result.output
    (row,) = pd.read_csv(project / "reports/bench_presets.csv").to_dict("records")
    assert (row["preset"], row["device"]) == ("tiny", "cpu")
    measured = {name for name in presets.COLUMNS if not name.endswith("_peak")}
    assert all(row[name] > 0 for name in measured)
    assert pd.isna(row["transformer_peak"])  # a processor's peak is not known
    header = result.output.splitlines()[1]
    assert all(name in header for name in presets.COLUMNS.values())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--device", "tpu", "--presets", "tiny"], "--device: this machine has cpu"),
        (["--device", "cpu"], "--device belongs to --presets"),
        (["--presets", "tiny,huge"], "preset: should be one of"),
    ],
)
def test_wrong_arguments_are_told_in_one_line(project, arguments, said):
    result = bench(*arguments)
    assert isinstance(result.exception, SystemExit | UserError)
    assert said in str(result.exception)


def test_the_device_that_is_named_is_taken(project):
    presets.use_device("cpu")
    assert best_device() == torch.device("cpu")


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


def test_a_preset_that_fails_leaves_the_rows_before_it(project, monkeypatch):
    def measure(params, preset):
        if preset == "laptop":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return dict.fromkeys(presets.COLUMNS, 1.0) | {"preset": preset}

    monkeypatch.setattr(presets, "measure", measure)
    with pytest.raises(torch.OutOfMemoryError):
        presets.run_presets("cpu", ["tiny", "laptop"])
    assert pd.read_csv(project / "reports/bench_presets.csv")["preset"].tolist() == ["tiny"]
