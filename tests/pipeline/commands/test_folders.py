"""maskgit score: any two folders, and the FID that pytorch-fid gives for them."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from maskgit.scoring.features import choose_extractor, efficientnet_lite
from maskgit.scoring.published import FID_WEIGHTS
from pipeline.cli import app
from pipeline.commands.folders import (
    compare_folders,
    folder_features,
    folder_pictures,
    load,
    warnings_of,
)


def waves(count, seed, shape=(40, 48)):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1], :1][:2]
    for _ in range(count):
        wave = np.sin(rng.uniform(0, 0.6, 3) * x + rng.uniform(0, 0.6, 3) * y)
        yield (rng.uniform(60, 127, 3) * (1 + wave)).astype(np.uint8)


def fill(folder, pictures, names=None, suffix=".png"):
    folder.mkdir()
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{names[i] if names else i:03}{suffix}")
    return folder


@pytest.fixture(scope="module")
def lite():
    return efficientnet_lite("efficientnet_lite0")


def score(*arguments):
    return CliRunner().invoke(app, ["score", *map(str, arguments)])


PYTORCH_FID = """
import runpy
from maskgit.scoring.torchvision_import import import_torchvision
import_torchvision()
runpy.run_module("pytorch_fid", run_name="__main__", alter_sys=True)
"""


@pytest.mark.usefixtures("random_weights_pass_as_official")
def test_the_fid_is_that_of_pytorch_fid(tmp_path, random_weights):
    a = fill(tmp_path / "a", waves(6, 0))
    b = fill(tmp_path / "b", waves(5, 1))
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    (cache / FID_WEIGHTS.name).symlink_to(random_weights)
    theirs = subprocess.run(
        [sys.executable, "-c", PYTORCH_FID, a, b, "--device", "cpu", "--num-workers", "0"],
        env=os.environ | {"TORCH_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert theirs.returncode == 0, theirs.stderr
    expected = float(theirs.stdout.rpartition("FID:")[2])
    record = compare_folders(a, b, choose_extractor("inception", str(random_weights)))
    assert (record["n_a"], record["n_b"], record["paired"]) == (6, 5, False)
    assert expected > 0.1, "equal sets would prove nothing"
    assert record["fid"] == pytest.approx(expected, rel=1e-3)


def test_pairs_get_their_errors_too(tmp_path, lite):
    pictures = list(waves(5, 0))
    a = fill(tmp_path / "a", pictures)
    b = fill(tmp_path / "b", [np.clip(p, 10, 245) - 10 for p in pictures])
    record = compare_folders(a, b, lite)
    assert record["paired"] and record["n_a"] == record["n_b"] == 5
    for name in ("fd_efficientnet_lite0", "kd_efficientnet_lite0", "psnr", "ssim", "l1"):
        assert record[f"{name}_low"] <= record[name] <= record[f"{name}_high"]
    assert 0 < record["l1"] <= 10 / 255


def test_a_folder_and_its_own_copy(tmp_path, lite):
    a, b = (fill(tmp_path / name, waves(4, 0)) for name in "ab")
    record = compare_folders(a, b, lite)
    assert record["fd_efficientnet_lite0"] == pytest.approx(0, abs=1e-6)
    assert record["kd_efficientnet_lite0"] == pytest.approx(0, abs=1e-9)
    assert record["l1"] == 0


def test_pictures_of_several_sizes_and_modes_keep_their_order(tmp_path, lite):
    pictures = [*waves(2, 0), *waves(2, 1, (30, 30)), *waves(1, 2)]
    a = fill(tmp_path / "a", pictures)
    Image.open(a / "001.png").convert("P").save(a / "001.png")
    found = folder_features(folder_pictures(a), lite)
    expected = np.concatenate([lite(load(path).rgb[None]) for path in sorted(a.iterdir())])
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_the_command_prints_the_record_and_warns_of_jpeg(tmp_path):
    a = fill(tmp_path / "a", waves(4, 0))
    b = fill(tmp_path / "b", waves(3, 1), suffix=".jpg")
    result = score(a, b, "--extractor", "efficientnet_lite0")
    assert result.exit_code == 0
    assert "3 pictures are JPEG" in result.output
    assert "4 and 3 pictures, no pairs" in result.output
    for name in ("fd_efficientnet_lite0", "kd_efficientnet_lite0"):
        assert f"\n{name} " in result.output
    assert "\nfid" not in result.output and "\nkid" not in result.output


def test_scores_have_the_decimals_that_are_quoted_and_no_distance_a_negative_bound(tmp_path):
    a, b = fill(tmp_path / "a", waves(3, 0)), fill(tmp_path / "b", waves(4, 1))
    c = fill(tmp_path / "c", waves(3, 2))
    for folders, scores in (((a, b), 2), ((a, c), 5)):  # pairs have pixel errors, too
        output = score(*folders, "--extractor", "efficientnet_lite0").output
        number = r"(-?\d+\.\d{2,})"
        found = re.findall(rf"^(\w+) +{number} \[{number}, {number}\]$", output, re.MULTILINE)
        assert len(found) == scores
        for name, _, low, high in found:
            assert float(low) <= float(high)
            assert "-" not in low + high or not name.startswith(("fd_", "kd_"))


def test_json_holds_what_is_printed_and_nothing_else(tmp_path):
    a, b = fill(tmp_path / "a", waves(3, 0)), fill(tmp_path / "b", waves(4, 1), suffix=".jpg")
    lite = ("--extractor", "efficientnet_lite0")
    printed, result = score(a, b, *lite).stdout, score(a, b, *lite, "--json")
    record = json.loads(result.stdout)
    assert (record["n_a"], record["n_b"], record["paired"]) == (3, 4, False)
    for name in ("fd_efficientnet_lite0", "kd_efficientnet_lite0"):
        assert f"{record[name]:.2f}" in printed
        assert 0 <= record[f"{name}_low"] <= record[f"{name}_high"]
    assert "JPEG" in result.stderr and "JPEG" in printed


def test_faults_are_named_in_one_line(tmp_path):
    good = fill(tmp_path / "good", waves(3, 0))
    empty, single = fill(tmp_path / "empty", []), fill(tmp_path / "single", waves(1, 0))
    broken = fill(tmp_path / "broken", waves(2, 0))
    (broken / "001.png").write_bytes(b"no picture")
    lite = ("--extractor", "efficientnet_lite0")
    for arguments, fault in [
        ((good, tmp_path / "nowhere"), "nowhere is not a folder"),
        ((good, empty), "no picture in it"),
        ((good, single), "one picture is no set"),
        ((good, broken, *lite), "001.png cannot be read"),
        ((good, good, "--extractor", "vgg"), "extractor 'vgg': choose one of auto, inception"),
        ((good, good, "--weights", tmp_path / "none.pth"), "none.pth"),
    ]:
        result = score(*arguments)
        assert result.exit_code == 1
        assert result.output.count("error: ") == 1
        assert fault in result.output.rpartition("error: ")[2].splitlines()[0]


def test_four_16_bit_greys_are_not_all_white(tmp_path):
    (tmp_path / "a").mkdir()
    for i in range(4):
        grey = np.full((40, 48), 2000 + 15000 * i, dtype=np.uint16)
        Image.fromarray(grey).save(tmp_path / f"a/{i}.png")
    assert [load(path).rgb.max() for path in folder_pictures(tmp_path / "a")] == [8, 66, 125, 183]


def test_what_pytorch_fid_reads_differently_is_warned_of(tmp_path):
    a, b = (fill(tmp_path / name, waves(3, 0)) for name in "ab")
    assert warnings_of(a, b) == []
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(a / "001.png").save(a / "001.png", exif=exif)
    (line,) = [line for line in warnings_of(a, b) if "pytorch-fid" in line]
    assert "reads 1 pictures differently (001.png)" in line


def test_one_pair_of_another_size_is_named_and_the_others_keep_their_errors(tmp_path, lite):
    a, b = (fill(tmp_path / name, waves(4, 0)) for name in "ab")
    Image.open(b / "002.png").resize((30, 30)).save(b / "002.png")
    (line,) = warnings_of(a, b)
    assert "1 of 4 pairs have no PSNR, SSIM and L1: 002.png (48 x 40 and 30 x 30)" in line
    assert compare_folders(a, b, lite)["l1"] == 0


def test_names_in_both_forms_of_unicode_are_pairs(tmp_path, lite):
    a = fill(tmp_path / "a", waves(3, 0), ["\u00e4bc", "bbb", "zzz"])
    b = fill(tmp_path / "b", waves(3, 0), ["a\u0308bc", "bbb", "zzz"])
    record = compare_folders(a, b, lite)
    assert record["paired"] and record["l1"] == 0
