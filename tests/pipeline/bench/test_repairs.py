"""The bench of repairs, on drawn photographs and a model with random weights."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from maskgit.data.cats.cat import draw_cat
from pipeline.bench import repairs
from pipeline.cli import app
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.places import MODEL_FOLDER
from tests.store import project_with_store

DAMAGED = [repairs.FILM_DAMAGE, *repairs.DAMAGE]


@pytest.fixture
def photos(tmp_path):
    """Two photographs, one too small and one damaged; a hair, a mask of all, and a licence."""
    folder, masks = tmp_path / "photos", tmp_path / "masks"
    folder.mkdir()
    masks.mkdir()
    for number, size in enumerate((160, 200, 40)):
        photo = draw_cat(np.random.default_rng(number), size)
        Image.fromarray(photo[:, : size - 16]).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (folder / "link.png").symlink_to(tmp_path / "elsewhere.png")
    mask = np.zeros((100, 100), dtype=np.uint8)
    mask[40:44, 10:60] = 255
    Image.fromarray(mask).save(masks / "hair.png")
    Image.fromarray(mask * 0 + 255).save(masks / "white.png")
    (masks / "LICENSE").write_text("MIT")
    return folder, masks


def test_every_damage_is_repaired_by_every_method_and_held_against_what_was_there(
    photos, small_models, tmp_path, capsys
):
    with project_with_store(tmp_path):
        repairs.run_repairs(small_models / MODEL_FOLDER, *photos)
        rows = pd.read_csv(repairs.FOLDER / "photos.csv")
        table = pd.read_csv(repairs.FOLDER / "repairs.csv").set_index(["damage", "method"])
        assert list(rows["photo"].unique()) == ["0.png", "1.png"]
        assert list(rows["damage"].unique()) == DAMAGED
        methods = ["sample", "mean", *repairs.CLASSIC]
        assert list(rows["method"].unique()) == methods and len(rows) == 9 * len(methods)
        assert set(rows[rows["damage"] == repairs.FILM_DAMAGE]["photo"]) == {"0.png"}
        said = capsys.readouterr().err
        assert "left out: 2.png: below 128 pixels" in said and "left out: broken.png: " in said
        assert "left out: link.png: link that leads out of the source" in said
        of_spots = table.loc["spots"]
        better = min(of_spots.loc[name, repairs.ERROR] for name in repairs.CLASSIC)
        for name in methods:
            found = rows[(rows["damage"] == "spots") & (rows["method"] == name)]
            mean = found[repairs.ERROR].mean()
            assert of_spots.loc[name, repairs.ERROR] == pytest.approx(mean)
            assert of_spots.loc[name, "share"] == pytest.approx(mean / better)
            assert of_spots.loc[name, "difference"] == pytest.approx(mean - better, abs=1e-9)
        for name in (*DAMAGED, "worst"):
            picture = np.asarray(Image.open(repairs.FOLDER / f"{name.replace(' ', '-')}.png"))
            assert picture.shape[0] > (len(methods) + 2) * 2 * repairs.AROUND


def test_holes_are_as_their_names_say_and_the_same_for_each_number():
    shape = 200, 300
    found = dict(repairs.damages(shape, 3, [np.ones((5, 5), dtype=bool)]))
    assert list(found) == DAMAGED and all(hole.shape == shape for hole in found.values())
    assert found["film damage"].all() and found["object"].sum() == 90 * 76
    assert 3 * 300 * 0.8 < found["scratch"].sum() < 5 * 361
    again = dict(repairs.damages(shape, 3, []))
    assert list(again) == [*repairs.DAMAGE]
    other = dict(repairs.damages(shape, 4, []))
    for kind, hole in again.items():
        assert np.array_equal(hole, found[kind]) and not np.array_equal(hole, other[kind])


def test_the_worst_are_those_beside_the_best_classic_fill():
    errors = {"sample": [1.0, 3.0, 2.0], "telea": [1.0, 2.0, 9.0], "patchmatch": [2.0, 9.0, 1.0]}
    errors["biharmonic"] = [9.0, 9.0, 9.0]
    rows = pd.DataFrame(
        [
            {"photo": f"{number}.png", "damage": "spots", "method": method, repairs.ERROR: error}
            for method, column in errors.items()
            for number, error in enumerate(column)
        ]
    )
    worst = repairs.worst_first(rows, "sample")
    assert list(worst["photo"]) == ["2.png", "1.png", "0.png"]


def test_no_interval_of_an_error_of_few_photographs_begins_below_zero():
    rows = [
        {"photo": str(i), "damage": "dust", "method": name, "psnr_hole": 20.0, "seconds": 1.0}
        | {repairs.ERROR: error, repairs.TEACHERS: error}
        for name in ("mean", *repairs.CLASSIC)
        for i, error in enumerate((0.5, 9.0, 1.0))
    ]
    table = repairs.summary(pd.DataFrame(rows))
    assert (table[f"{repairs.ERROR}_low"] < 0).all()
    shown = repairs.summary_text(table).splitlines()[1:]
    assert len(shown) == 4 and not any("[-" in line for line in shown)


def test_a_folder_without_photographs_is_a_fault(small_models, photos, tmp_path):
    folder, masks = photos
    for number in range(2):
        (folder / f"{number}.png").unlink()
    with project_with_store(tmp_path), pytest.raises(UserError, match="no photograph of 128 x 128"):
        repairs.run_repairs(small_models / MODEL_FOLDER, folder, masks)


@pytest.mark.parametrize("option", ["--masks", "--model"])
def test_what_belongs_to_photographs_is_refused_without_them(option, tmp_path):
    result = CliRunner().invoke(app, ["bench", option, str(tmp_path)])
    assert result.exit_code == 1 and f"{option} belongs to --photos" in result.output
