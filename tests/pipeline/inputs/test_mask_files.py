"""Sets of masks are read, cleaned of copies and split; prepare draws each split from its own."""

import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from maskgit.data.holes import draw_holes
from maskgit.data.mask_sets import AREAS
from pipeline.inputs.mask_files import counts_text, load_mask_files
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.hashing import content_hash
from pipeline.plumbing.params import load_params
from pipeline.plumbing.workers import Workers
from pipeline.stages.prepare import prepare
from tests.clone import ROOT

ALONE = Workers(1)
COUNT = 60
PUBLISHED = ROOT.parent / "shared/data"  # where published sets lie beside the project


def soft_masks(folder, count=COUNT, seed=0, first=0):
    """Masks of several sizes with soft edges, in folders as published sets have them."""
    shapes = [(48, 48), (90, 60), (200, 260)]
    areas = np.random.default_rng(seed).uniform(0.02, 0.55, count)
    for i in range(first, count):
        (hole,) = draw_holes(1, ["strokes"], (areas[i], areas[i]), 128, seed=1000 * seed + i)
        height, width = shapes[i % 3]
        grey = cv2.GaussianBlur(hole.astype(np.uint8) * 255, (5, 5), 0)
        path = folder / f"{i % 2}/mask_{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(cv2.resize(grey, (width, height))).save(path)


@pytest.fixture
def masks(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    soft_masks(tmp_path / "masks")
    return tmp_path / "masks"


@pytest.fixture
def load(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return lambda source, size=32: load_mask_files(str(source), size, 0, scratch, ALONE, {})


def test_every_usable_mask_has_a_split_and_a_hole_of_the_pictures_size(masks, load):
    found = load("masks")
    assert len(found.table) == len(found.holes) == COUNT
    assert found.holes.array.shape[1:] == (32, 32)
    assert set(found.table["split"]) == {"train", "val", "test"}
    assert np.allclose(found.holes[:].mean(axis=(1, 2)), found.table["area"])


def test_a_zip_is_read_as_its_folder(masks, load):
    shutil.make_archive(str(masks), "zip", masks)
    folder, zipped = load("masks"), load("masks.zip")
    assert folder.table.equals(zipped.table)
    assert np.array_equal(folder.holes[:], zipped.holes[:])


def test_files_that_are_no_masks_are_left_out_with_the_reason(masks, load):
    Image.new("L", (40, 40)).save(masks / "black.png")
    Image.new("L", (40, 40), 255).save(masks / "white.png")
    (masks / "broken.png").write_bytes(b"no image")
    (masks / "notes.txt").write_text("notes")
    reasons = load("masks").table.set_index("file")["reason"]
    assert reasons["black.png"].startswith("the mask marks nothing")
    assert reasons["white.png"].startswith("the mask is all hole")
    assert reasons["broken.png"] == "not an image" and reasons["notes.txt"] == "not an image file"
    assert (reasons == "").sum() == COUNT


def test_a_copy_that_was_turned_or_saved_anew_is_left_out(masks, load):
    own = Image.open(masks / "0/mask_00.png")  # a square
    own.transpose(Image.Transpose.ROTATE_90).save(masks / "turned.png")
    own.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(masks / "mirrored.bmp")
    reasons = load("masks").table.set_index("file")["reason"]
    assert reasons["turned.png"] == reasons["mirrored.bmp"] == "copy of 0/mask_00.png"
    assert (reasons == "").sum() == COUNT


def test_another_size_and_added_masks_move_none_between_the_splits(masks, load):
    before = load("masks").table.set_index("file")["split"]
    assert load("masks", size=48).table.set_index("file")["split"].equals(before)
    soft_masks(masks, COUNT + 20, first=COUNT)
    after = load("masks").table.set_index("file")["split"]
    assert len(after) == COUNT + 20 and after[before.index].equals(before)


def test_sets_that_cannot_be_used_get_one_line(masks, tmp_path, load):
    for i, folder in enumerate(("black", "few")):
        (tmp_path / folder).mkdir()
        Image.new("L", (20, 20)).save(tmp_path / folder / "a.png")
        if i:
            shutil.copy(masks / "0/mask_00.png", tmp_path / folder)
    with pytest.raises(UserError, match=r"data.holes: black: none of its 1 files is a usable mask"):
        load("black")
    with pytest.raises(UserError, match=r"data.holes: few: 1 different masks are too few"):
        load("few")


def test_the_counts_say_what_each_split_has_and_what_is_left_out(masks, load):
    (masks / "broken.png").write_bytes(b"no image")
    text = counts_text("masks", load("masks").table)
    assert text.startswith(f"{COUNT + 1} masks of masks: ") and text.endswith("1 x not an image")


def data_with(holes, **changes):
    values = load_params(ROOT).data.model_dump()
    values |= {"source": "synthetic", "count": 64, "size": 32, "test": 16, "holes": holes} | changes
    return load_params(ROOT).data.model_validate(values)


def prepared(folder, holes, **changes):
    folder.mkdir()
    prepare(data_with(holes, **changes), 0, folder, ALONE)
    return folder


@pytest.fixture
def few_training_holes(monkeypatch):
    monkeypatch.setattr("pipeline.stages.prepare.TRAINING_HOLES", 100)


@pytest.mark.usefixtures("few_training_holes")
def test_no_mask_of_one_split_is_in_a_hole_of_another(masks, tmp_path):
    folder = prepared(tmp_path / "out", ["./masks"])
    table = pd.read_csv(folder / "masks.csv")
    found = load_mask_files("masks", 32, 0, folder, ALONE, {})
    split_of = {}
    for hole, split in zip(found.holes[:], found.used["split"], strict=True):
        split_of |= {np.rot90(h, k).tobytes(): split for h in (hole, hole.T) for k in range(4)}
    for split in ("train", "val", "test"):
        holes = np.load(folder / f"{split}_holes.npy")
        assert {split_of[hole.tobytes()] for hole in holes} == {split}
    used = pd.read_csv(folder / "holes.csv")
    splits = used.merge(table, left_on="mask", right_on="file")
    assert len(splits) == len(used) and (splits["split_x"] == splits["split_y"]).all()


@pytest.mark.usefixtures("few_training_holes")
def test_a_mirrored_mask_of_another_set_is_a_copy(masks, tmp_path):
    soft_masks(tmp_path / "others", COUNT // 2, seed=1)
    mirrored = Image.open(masks / "0/mask_00.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    mirrored.save(tmp_path / "others/mirrored.png")
    folder = prepared(tmp_path / "out", ["./masks", "./others"])
    table = pd.read_csv(folder / "masks.csv").set_index(["set", "file"])
    assert table.loc[("others", "mirrored.png"), "reason"] == "copy of masks/0/mask_00.png"


@pytest.mark.usefixtures("few_training_holes")
def test_masks_and_drawn_kinds_have_their_turns_in_one_table(masks, tmp_path):
    used = pd.read_csv(prepared(tmp_path / "out", ["box", "./masks"]) / "holes.csv").fillna("")
    test = used[used["split"] == "test"]
    assert list(test["kind"]) == ["box", "masks"] * 8
    assert (test["mask"] == "").tolist() == [True, False] * 8
    buckets = np.searchsorted(AREAS, test.loc[test["kind"] == "masks", "area"])
    assert len(set(buckets)) > 3


@pytest.mark.usefixtures("few_training_holes")
def test_without_masks_from_files_nothing_else_is_written(tmp_path):
    folder = prepared(tmp_path / "out", ["box"])
    assert list(pd.read_csv(folder / "holes.csv")) == ["split", "image", "kind", "area"]
    assert not (folder / "masks.csv").exists()


@pytest.mark.usefixtures("few_training_holes")
def test_any_number_of_processes_makes_the_same_holes_of_masks(masks, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.plumbing.workers._PAYS", -1)
    folders = [tmp_path / "one", tmp_path / "two"]
    with Workers(2) as two:
        for folder, workers in zip(folders, (ALONE, two), strict=True):
            folder.mkdir()
            prepare(data_with(["./masks", "mixture"]), 0, folder, workers)
        assert two.pool is not None
    assert content_hash(folders[0]) == content_hash(folders[1])


@pytest.mark.parametrize("name", ["film-damage-masks.zip", "irregular-masks-600.zip"])
@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="no published masks beside the project")
def test_published_sets_have_holes_for_each_split_and_few_masks_are_left_out(tmp_path, name):
    found = load_mask_files(str(PUBLISHED / name), 64, 0, tmp_path, ALONE, {})
    counts = found.used["split"].value_counts()
    assert counts["train"] > counts["test"] > counts["val"] > 30
    assert len(found.used) > 0.8 * len(found.table)
    reasons = found.table["reason"]
    assert reasons[reasons != ""].str.startswith("copy of").all()
