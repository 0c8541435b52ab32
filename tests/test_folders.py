"""maskgit score: any two folders, and the FID that pytorch-fid gives for them."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from maskgit.features import FID_WEIGHTS_NAME, efficientnet_lite0
from pipeline.cli import app


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
    return efficientnet_lite0()


def score(*arguments):
    return CliRunner().invoke(app, ["score", *map(str, arguments)])


PYTORCH_FID = """
import runpy
from maskgit.torchvision_import import import_torchvision
import_torchvision()
runpy.run_module("pytorch_fid", run_name="__main__", alter_sys=True)
"""


@pytest.mark.usefixtures("random_weights_pass_as_official")
def test_the_fid_is_that_of_pytorch_fid(tmp_path, random_weights):
    a = fill(tmp_path / "a", waves(12, 0))
    b = fill(tmp_path / "b", waves(9, 1))
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    (cache / FID_WEIGHTS_NAME).symlink_to(random_weights)
    theirs = subprocess.run(
        [sys.executable, "-c", PYTORCH_FID, a, b, "--device", "cpu", "--num-workers", "0"],
        env=os.environ | {"TORCH_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert theirs.returncode == 0, theirs.stderr
    print(theirs.stdout, theirs.stderr[-500:])
    result = score(a, b, "--weights", random_weights)
    print(result.output)
    assert 0
