"""What prepare leaves behind, and what it says when it cannot."""

import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from maskgit.data.cats.cat import draw_cats
from maskgit.data.image_files import to_square
from pipeline.plumbing import workers
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.hashing import content_hash
from pipeline.plumbing.params import load_params
from pipeline.plumbing.workers import Workers
from pipeline.reporting.tables import pictures_of
from pipeline.stages.prepare import given_holes, load_source, make_manifest, prepare
from tests.clone import ROOT

ALONE = Workers(1)


def parameters(source, **changes):
    values = load_params(ROOT).data.model_dump() | {"source": str(source), "test": 4} | changes
    return load_params(ROOT).data.model_validate(values)


def save(folder, images, names=None):
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / (names[i] if names else f"{i}.png"))


@pytest.fixture
def pixels(tmp_path_factory):
    return tmp_path_factory.mktemp("pixels")


@pytest.fixture
def dirty(tmp_path):
    """Thirty cats, one to be turned, an exact copy, two near copies, and two bad files."""
    cats = draw_cats(30, seed=1)
    save(tmp_path, cats)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(cats[9])).save(tmp_path / "9.png", exif=exif)
    shutil.copy(tmp_path / "3.png", tmp_path / "exact.png")
    Image.fromarray(cats[5][:, ::-1]).save(tmp_path / "mirrored.png")
    Image.fromarray(cats[7]).save(tmp_path / "small.jpg", quality=60)
    (tmp_path / "broken.png").write_bytes(b"no image")
    Image.new("RGB", (9, 9)).save(tmp_path / "tiny.png")
    return tmp_path


def test_copies_and_bad_files_are_left_out_with_the_reason(dirty, pixels):
    data = parameters(dirty)
    manifest = make_manifest(load_source(data, 0, pixels, ALONE), data, 0, ALONE).set_index("file")
    assert len(manifest) == 35
    assert tuple(manifest.loc["exact.png", ["duplicate_of", "reason"]]) == ("3.png", "exact copy")
    assert tuple(manifest.loc["mirrored.png", ["duplicate_of", "reason"]]) == ("5.png", "near copy")
    assert tuple(manifest.loc["small.jpg", ["duplicate_of", "reason"]]) == ("7.png", "near copy")
    assert manifest.loc["broken.png", "reason"] == "not an image"
    assert manifest.loc["tiny.png", "reason"] == "smaller than 32 px"
    assert (manifest.loc[manifest["reason"] != "", "split"] == "").all()
    noted = manifest["notes"][manifest["notes"] != ""]
    assert noted.to_dict() == {"9.png": "turned upright by its EXIF orientation"}
    splits = manifest["split"].value_counts()
    assert splits[""] == 5 and splits["test"] == 4 and splits["val"] >= 1 and splits["train"] >= 15


def test_where_near_copies_are_admitted_exact_ones_alone_are_left_out(dirty, pixels, monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")  # as on clusters; nothing is counted by the bar
    data = parameters(dirty, near_copies=False)
    manifest = make_manifest(load_source(data, 0, pixels, ALONE), data, 0, ALONE).set_index("file")
    assert len(manifest) == 35
    assert manifest.loc[["mirrored.png", "small.jpg"], "reason"].tolist() == ["", ""]
    assert manifest.loc["exact.png", "reason"] == "exact copy"


def test_other_sizes_and_added_images_move_none_between_the_splits(tmp_path, pixels):
    cats = draw_cats(61, seed=1)
    save(tmp_path, cats[1:], [f"{i}.png" for i in range(60)])

    def splits(**changes):
        data = parameters(tmp_path, test=0.2, **changes)
        manifest = make_manifest(load_source(data, 0, pixels, ALONE), data, 0, ALONE)
        return manifest.set_index("file")["split"]

    before = splits()
    assert splits(size=48).equals(before)
    save(tmp_path, cats[:1], ["-first.png"])
    after = splits()
    assert len(after) == 61 and after[before.index].equals(before)


def test_names_in_the_manifest_do_no_harm(tmp_path, pixels):
    names = ["=1+1.png", "-x.png", "@a.png", "+b.png", "a\x1b[2Jb\n.png", "plain.png"]
    save(tmp_path, draw_cats(24, seed=1))
    for name in names:
        (tmp_path / name).write_bytes(b"")
    data = parameters(tmp_path)
    manifest = make_manifest(load_source(data, 0, pixels, ALONE), data, 0, ALONE)
    empty = set(manifest.loc[manifest["reason"] == "empty file", "file"])
    harmless = {"./=1+1.png", "./-x.png", "./@a.png", "./+b.png", "a\\x1b[2Jb\\n.png", "plain.png"}
    assert empty == harmless


def test_the_lab_layout_keeps_its_splits_and_masks_and_no_leak(tmp_path, pixels):
    cats = draw_cats(20, seed=2)
    save(tmp_path / "cat_face/train", cats[:12])
    save(tmp_path / "cat_face/val", cats[12:15])
    save(tmp_path / "cat_face/test", cats[15:])
    save(tmp_path / "cat_face/train", [cats[17]], ["leak.png"])
    (tmp_path / "cat_face/test/1.png").write_bytes(b"")  # its mask must go, too
    masks = np.full((5, 64, 64), 255, dtype=np.uint8)
    for i, mask in enumerate(masks):
        mask[:, : 4 * (i + 1)] = 0  # black = hole
    save(tmp_path / "mask64", masks)

    data = parameters(tmp_path)
    source = load_source(data, 0, pixels, ALONE)
    manifest = make_manifest(source, data, 0, ALONE)
    rows = manifest.set_index("file")
    assert manifest["split"].value_counts().to_dict() == {"train": 12, "test": 4, "val": 3, "": 2}
    leak = rows.loc["cat_face/train/leak.png", ["duplicate_of", "reason"]]
    assert tuple(leak) == ("cat_face/test/2.png", "exact copy")
    tests = np.flatnonzero(manifest["split"] == "test")
    holes = given_holes(data, source, tests)
    assert [hole[0].sum() for hole in holes] == [4, 12, 16, 20]


def run_prepare(folder, source):
    """python -m pipeline.stages.prepare in `folder`, for a few images of the source."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["data"] |= {"source": str(source), "count": 40, "test": 4}
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    shutil.copy(ROOT / "presets.yaml", folder)
    return subprocess.run(
        [sys.executable, "-m", "pipeline.stages.prepare"],
        cwd=folder,
        env={"PATH": "", "PYTHONPATH": str(ROOT), "DVC_ROOT": str(folder)},
        capture_output=True,
        text=True,
    )


def faulty_sources(folder):
    (folder / "empty").mkdir()
    save(folder / "few", draw_cats(5, seed=0))
    save(folder / "same", draw_cats(1, seed=0).repeat(30, axis=0))
    (folder / "bad").mkdir()
    (folder / "bad/a.png").write_bytes(b"no image")
    shutil.make_archive(str(folder / "none"), "zip", folder / "empty")
    (folder / "corrupt.zip").write_bytes(b"PK no zip")


FAULTY = {
    "missing": "does not exist",
    "empty": "holds no image files",
    "none.zip": "holds no image files",
    "corrupt.zip": "corrupt zip",
    "bad": "none of its 1 files is a usable image",
    "few": "too few",
    "same": "too few",
}


@pytest.fixture
def made(tmp_path, pixels, monkeypatch):
    """Prepares a source in a folder of its own, and returns the manifest."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setattr("pipeline.stages.prepare.TRAINING_HOLES", 8)
    return lambda source, **changes: prepare(parameters(source, **changes), 0, pixels, ALONE)[0]


@pytest.mark.parametrize("name", FAULTY)
def test_faulty_sources_are_named_with_their_fault_and_nothing_is_written(
    tmp_path, made, pixels, name
):
    faulty_sources(tmp_path)
    with pytest.raises(UserError) as error:
        made(tmp_path / name)
    assert name in str(error.value) and FAULTY[name] in str(error.value)
    assert "\n" not in str(error.value) and not list(pixels.iterdir())


def test_the_fault_of_a_source_is_the_last_line_and_leaves_nothing_half_written(tmp_path):
    faulty_sources(tmp_path)
    result = run_prepare(tmp_path, tmp_path / "few")
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert last.startswith("error: ") and "few: " in last and "too few" in last
    assert not list((tmp_path / "data").iterdir())


def test_a_source_with_too_few_images_counts_the_reasons_and_names_the_settings(tmp_path, made):
    cats = draw_cats(2, seed=0)
    save(tmp_path / "photos", np.zeros((20, 9, 9, 3), np.uint8))
    save(tmp_path / "photos", [cats[0], cats[0], cats[0][:, ::-1]], ["a.png", "b.png", "c.png"])
    save(tmp_path / "outside", cats[1:])
    (tmp_path / "photos/link.png").symlink_to(tmp_path / "outside/0.png")
    (tmp_path / "photos/read.me").write_text("")
    with pytest.raises(UserError) as error:
        made("photos")
    for words in (
        "photos: 1 images are too few",
        "left out: 20 x smaller than 32 px (data.min_side), ",
        "1 x link that leads out of the source (data.follow_links)",
        "and 1 other reasons; see reports/left_out.csv",
    ):
        assert words in str(error.value)
    table = pd.read_csv("reports/left_out.csv").set_index("file")
    assert len(table) == 24 and table.loc["3.png", "reason"] == "smaller than 32 px"
    assert table.loc["b.png", "duplicate_of"] == "a.png"


def test_one_image_is_too_few_to_test_with(tmp_path, made):
    for split, count in {"train": 12, "val": 3, "test": 1}.items():
        save(tmp_path / "lab/cat_face" / split, draw_cats(count, seed=count))
    with pytest.raises(UserError, match="lab: one image is too few for the test split"):
        made("lab")


def test_the_table_of_a_source_that_failed_goes_when_one_is_prepared(tmp_path, made):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/a.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"left out: 1 x empty file; see reports/left_out.csv"):
        made("bad")
    assert (tmp_path / "reports/left_out.csv").is_file()
    made("synthetic", count=24)
    assert not (tmp_path / "reports/left_out.csv").exists()


def test_linked_images_are_prepared_where_that_is_asked_for(tmp_path, made):
    save(tmp_path / "outside", draw_cats(24, seed=1))
    (tmp_path / "links").mkdir()
    for path in (tmp_path / "outside").iterdir():
        (tmp_path / "links" / path.name).symlink_to(path)
    with pytest.raises(UserError, match=r"none of its 24 files .* 24 x link .*data.follow_links"):
        made("links")
    assert (made("links", follow_links=True)["split"] != "").all()


def test_the_same_seed_gives_the_same_bytes(tmp_path, monkeypatch):
    assert run_prepare(tmp_path, "synthetic").returncode == 0
    first, second = tmp_path / "data/prepared", tmp_path / "again"
    second.mkdir()
    monkeypatch.chdir(tmp_path)
    prepare(parameters("synthetic", count=40), 0, second, ALONE)
    files = [path.relative_to(second) for path in second.rglob("*") if path.is_file()]
    written = {"manifest.csv", "holes.csv", "test_holes.npy", "test_holes/image_000.png"}
    assert written <= {file.as_posix() for file in files}
    for file in files:
        assert (first / file).read_bytes() == (second / file).read_bytes(), file
    manifest = pd.read_csv(second / "manifest.csv")
    assert list(manifest) == ["file", "split", "sha256", "duplicate_of", "reason", "notes"]


def make_sources(folder):
    """The same cats and bad files, enough for two blocks, as a folder, a zip and Parquet."""
    cats = draw_cats(70, seed=1, size=80)
    save(folder / "photos", cats)
    save(folder / "photos", [cats[3][:, ::-1], cats[5]], ["mirrored.png", "same.png"])
    (folder / "photos/bad.png").write_bytes(b"no image")
    shutil.make_archive(str(folder / "photos"), "zip", folder / "photos")
    files = [file.read_bytes() for file in sorted((folder / "photos").iterdir())]
    pq.write_table(pa.table({"image": files}), folder / "photos.parquet", row_group_size=20)
    return ["synthetic", "photos", "photos.zip", "photos.parquet"]


@pytest.mark.parametrize(("cut", "sources"), [({"crops": 1}, 4), ({"windows": 2}, 2)])
def test_any_number_of_processes_leaves_the_same_bytes(tmp_path, monkeypatch, cut, sources):
    monkeypatch.setattr(workers, "_PAYS", -1)
    monkeypatch.setattr("pipeline.stages.prepare.TRAINING_HOLES", 70)
    with Workers(2) as two:
        for source in make_sources(tmp_path)[:sources]:
            path = source if source == "synthetic" else tmp_path / source
            data = parameters(path, count=70, **cut)
            left = []
            for shared in (ALONE, two):
                folder = tmp_path / f"{source} {shared.count}"
                folder.mkdir()
                prepare(data, 0, folder, shared)
                left.append(content_hash(folder))
            assert left[0] == left[1], source
            reasons = pd.read_csv(folder / "manifest.csv")["reason"].value_counts().to_dict()
            if source != "synthetic":
                assert reasons == {"exact copy": 1, "near copy": 1, "not an image": 1}
        assert two.pool is not None


def photos(folder, count=40):
    """Drawn cats in pictures that are no squares, two of them copies, and a file that is none."""
    cats = draw_cats(count, seed=3, size=100)
    save(folder / "photos", [cat[: 90 + i % 5] for i, cat in enumerate(cats)])
    shutil.copy(folder / "photos/3.png", folder / "photos/copy.png")
    (folder / "photos/bad.png").write_bytes(b"no image")


SPLITS = ("train", "val", "test")


@pytest.fixture
def windowed(tmp_path, made):
    """Prepares windows of these photos; returns the manifest, and all arrays by name."""
    photos(tmp_path)

    def prepared(windows, **changes):
        folder = tmp_path / f"{windows} windows"
        folder.mkdir()
        prepare(parameters("photos", windows=windows, size=32, **changes), 0, folder, ALONE)
        table = pd.read_csv(folder / "manifest.csv", keep_default_na=False)
        return table, {path.stem: np.load(path) for path in folder.glob("*.npy")}

    return prepared


def kept(table):
    numbers = ["window", "left", "top", "side", "image"]
    return table[table["split"] != ""].astype(dict.fromkeys(numbers, int))


def test_every_split_is_of_the_windows_that_the_manifest_names(tmp_path, windowed):
    table, images = windowed(2)
    for split in SPLITS:
        rows = kept(table)[lambda rows, split=split: rows["split"] == split].sort_values("image")
        assert list(rows["image"]) == list(range(len(images[split])))
        pictures = rows.groupby("file", sort=False).ngroup()
        assert np.array_equal(pictures_of(len(rows), windows=2), pictures)
        for row, image in zip(rows.itertuples(), images[split], strict=True):
            picture = np.asarray(Image.open(tmp_path / "photos" / row.file))
            box = picture[row.top : row.top + row.side, row.left : row.left + row.side]
            assert 32 <= row.side <= min(picture.shape[:2])
            assert np.array_equal(image, to_square(box, 32, "crop"))


def test_windows_of_a_picture_are_in_one_split_and_those_of_a_copy_in_none(windowed):
    table, _ = windowed(3)
    by_file = kept(table).groupby("file")
    assert (by_file["split"].nunique() == 1).all() and (by_file.size() == 3).all()
    assert by_file["window"].apply(list).map([0, 1, 2].__eq__).all()
    left_out = table[table["split"] == ""]
    assert set(left_out["file"]) == {"bad.png", "copy.png"}
    assert (left_out[["window", "left", "top", "side", "image"]] == "").all(axis=None)


def test_windows_change_no_split_and_more_of_them_follow_the_first(windowed):
    (whole, _), (_, one), (table, two) = map(windowed, range(3))
    files = table.drop_duplicates("file")
    assert list(files["file"]) == list(whole["file"])
    assert list(files["split"]) == list(whole["split"])
    for split in SPLITS:
        assert len(two[split]) == 2 * len(one[split])
        assert np.array_equal(two[split][: len(one[split])], one[split])


def test_the_number_of_test_images_is_of_pictures_and_each_window_has_a_hole(windowed):
    _, arrays = windowed(2, test=5)
    assert len(arrays["test"]) == len(arrays["test_holes"]) == 10
    assert len(arrays["val"]) == len(arrays["val_holes"])


def test_masks_of_whole_pictures_are_refused_for_windows(tmp_path, made):
    for split, count in {"train": 12, "val": 3, "test": 4}.items():
        save(tmp_path / "lab/cat_face" / split, draw_cats(count, seed=count))
    save(tmp_path / "lab/mask64", np.zeros((4, 64, 64), np.uint8))
    with pytest.raises(UserError, match=r"masks in mask64 are of whole pictures"):
        made("lab", windows=1)


@pytest.mark.parametrize("source", ["synthetic", "photos"])
@pytest.mark.usefixtures("made")
def test_windows_of_the_training_images_alone_follow_them(tmp_path, source):
    save(tmp_path / "photos", draw_cats(40, seed=3, size=100))
    prepared = {}
    for crops in (0, 2):
        folder = tmp_path / f"{crops} crops"
        folder.mkdir()
        prepare(parameters(source, count=40, crops=crops), 0, folder, ALONE)
        prepared[crops] = {split: np.load(folder / f"{split}.npy") for split in SPLITS}
    whole = prepared[0]["train"]
    assert len(prepared[2]["train"]) == 3 * len(whole)
    assert np.array_equal(prepared[2]["train"][: len(whole)], whole)
    for split in ("val", "test"):
        assert np.array_equal(prepared[2][split], prepared[0][split])


def test_a_note_beside_the_labs_test_images_takes_no_mask(tmp_path, made, pixels):
    for split, count in {"train": 12, "val": 3, "test": 4}.items():
        save(tmp_path / "lab/cat_face" / split, draw_cats(count, seed=count))
    (tmp_path / "lab/cat_face/test/a_note.txt").write_text("of 2019")
    masks = np.zeros((4, 64, 64), np.uint8)
    for i in range(4):
        masks[i, :, : 8 * i + 8] = 255  # known
    save(tmp_path / "lab/mask64", masks)
    made("lab")
    holes = np.load(pixels / "test_holes.npy")
    assert [(~hole).sum() // 64 for hole in holes] == [8, 16, 24, 32]
