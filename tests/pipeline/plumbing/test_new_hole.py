"""A kind of hole is an entry of one list: parameters, holes and masks know it from there."""

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from maskgit.data.holes import HOLES, draw_holes
from pipeline.cli import app
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.params import load_params
from tests.clone import ROOT


def frame(rng: np.random.Generator, size: int, area: float) -> np.ndarray:
    """All but the middle, of a width drawn at random; bool (size, size)."""
    hole, width = np.ones((size, size), dtype=bool), rng.integers(1, size // 4)
    hole[width:-width, width:-width] = False
    return hole


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(HOLES, "frame", frame)


@pytest.fixture
def project(tmp_path):
    """A folder whose parameters ask for the new kind beside another."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["data"]["holes"] = ["box", "frame"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    (tmp_path / "presets.yaml").write_bytes((ROOT / "presets.yaml").read_bytes())
    return tmp_path


def test_parameters_refuse_a_kind_that_is_not_in_the_list(project):
    with pytest.raises(UserError, match=r"data.holes.1: should be one of box, .* it is 'frame'"):
        load_params(project)


@pytest.mark.usefixtures("registered")
def test_parameters_accept_a_kind_of_the_list(project):
    assert load_params(project).data.holes == ["box", "frame"]


@pytest.mark.usefixtures("registered")
def test_its_holes_are_drawn_in_turn_with_the_others():
    holes = draw_holes(4, ["box", "frame"], (0.1, 0.2), 32, seed=3)
    for i, hole in enumerate(holes):
        framed = hole[0].all() and hole[-1].all() and not hole[16, 16]
        assert framed == (i % 2 == 1)


@pytest.mark.usefixtures("registered")
def test_the_command_line_draws_masks_of_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 30)).save("photo.png")
    result = CliRunner().invoke(app, ["mask", "photo.png", "--out", "masks", "--kind", "frame"])
    assert result.exit_code == 0, result.output
    mask = np.asarray(Image.open("masks/photo.png")) > 0
    assert mask.shape == (30, 40) and mask[0].all() and not mask[15, 20]
