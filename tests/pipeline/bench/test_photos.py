"""The bench of photos, on a small mosaic and a model with random weights. No time is asserted."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.bench import photos
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.places import MODEL_FOLDER
from tests.store import project_with_store


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(photos, "CATS", 2)
    monkeypatch.setattr(photos, "ROWS", 4)
    monkeypatch.setattr(photos, "COLUMNS", 5)

    def spot(hole):
        hole[100:106, 200:206] = True

    monkeypatch.setattr(photos, "CASES", {"a spot": spot})


def test_a_case_is_filled_and_held_against_what_was_there(small, small_models, tmp_path):
    with project_with_store(tmp_path):
        photos.run_photos(small_models / MODEL_FOLDER)
        table = pd.read_csv("reports/photos/photos.csv")
        assert list(table["windows"]) == [1] and list(table["sides"]) == [64]
        assert table["ratio"][0] == pytest.approx(table["error"][0] / table["telea"][0])
        view = np.asarray(Image.open("reports/photos/photos.png"))
        assert view.shape[0] > 4 * photos.AROUND and view.shape[1] > 2 * photos.AROUND
        with pytest.raises(UserError, match="run 'dvc repro'"):
            photos.run_photos(MODEL_FOLDER)


def test_the_holes_of_the_bench_lie_in_its_photo():
    for draw in photos.CASES.values():
        hole = np.zeros((photos.ROWS * photos.TILE, photos.COLUMNS * photos.TILE), dtype=bool)
        draw(hole)
        assert 0 < hole.mean() < 0.01
