"""The wheel carries what an installed `maskgit` needs."""

import os
import subprocess
import sys

import pytest
from PIL import Image

from tests.clone import ROOT


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the wheel of this checkout installed into it, without its dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    source = folder / "source"  # a copy: building writes into the folder that it builds from
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if name.startswith(("maskgit/", "pipeline/", "weights/")) or "/" not in name:
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], check=True)
    return folder / "site"


def test_an_installed_wheel_fills_the_sample_photo_from_another_folder(installed, tmp_path):
    sample = [ROOT / f"weights/{name}.png" for name in ("sample", "sample-hole")]
    arguments = ["inpaint", sample[0], "--mask", sample[1], "--out", "filled.png"]
    result = subprocess.run(
        [sys.executable, installed / "bin/maskgit", *arguments],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert f"1 of 1 filled by {installed / 'pipeline/weights'}" in result.stdout
    assert Image.open(tmp_path / "filled.png").size == Image.open(sample[0]).size
