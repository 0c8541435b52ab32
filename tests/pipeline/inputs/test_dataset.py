import errno
import io
import os
import resource
import struct
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.inputs import parquet
from pipeline.inputs.dataset import read_lab_masks, read_source
from pipeline.inputs.listing import files_behind
from pipeline.inputs.untrusted import list_folder
from pipeline.plumbing.errors import UserError

WIDE = np.linspace(0, 255, 40 * 60 * 3).reshape(40, 60, 3).astype(np.uint8)


def encode(pixels: np.ndarray = WIDE, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


PNG = encode()


def make_folder(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def make_parquet(path: Path, files: dict[str, bytes], group: int = 2) -> Path:
    """As `datasets` writes it."""
    rows = [{"bytes": data, "path": name} for name, data in files.items()]
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    labels = pa.array(range(len(rows)))
    table = pa.table({"image": pa.array(rows, kind), "label": labels})
    pq.write_table(table, path, row_group_size=group)
    return path


@pytest.fixture(params=["folder", "zip", "parquet"])
def make_source(request, tmp_path):
    if request.param == "folder":
        return lambda files, name="pictures": make_folder(tmp_path / name, files)
    if request.param == "parquet":
        return lambda files, name="pictures": make_parquet(tmp_path / f"{name}.parquet", files)
    return lambda files, name="pictures": make_zip(tmp_path / f"{name}.zip", files)


def read(source: Path, size: int = 32, fit: str = "crop", min_side: int = 16) -> list:
    return list(read_source(source, size, fit, min_side))


def reasons(source: Path) -> dict[str, str]:
    return {image.file: image.reason for image in read(source)}


def test_usable_picture(make_source):
    (image,) = read(make_source({"a/cat.png": PNG}))
    assert image.file == "a/cat.png"
    assert image.sha256 == sha256(PNG).hexdigest()
    assert image.pixels.shape == (32, 32, 3)
    assert image.pixels.dtype == np.uint8
    assert (image.reason, image.split) == ("", "")


def test_rows_whose_paths_repeat_or_are_missing_go_by_their_numbers(tmp_path):
    path, table = tmp_path / "cats.parquet", {"label": [1, 2, 3], "jpg": [PNG] * 3}
    pq.write_table(pa.table(table), path)
    assert list(reasons(path)) == ["0.jpg", "1.jpg", "2.jpg"]
    repeated = [{"bytes": PNG, "path": name} for name in ("a.png", "b.png", "a.png")]
    pq.write_table(pa.table({"image": repeated}), path)
    assert list(reasons(path)) == ["0.jpg", "1.jpg", "2.jpg"]


def test_rows_whose_paths_have_no_ending_go_by_their_numbers(tmp_path):
    path = make_parquet(tmp_path / "cats.parquet", {"000123": PNG, "000124": encode(WIDE + 1)})
    assert reasons(path) == {"0.jpg": "", "1.jpg": ""}


def test_rows_whose_paths_are_no_paths_of_pictures_go_by_their_numbers(tmp_path):
    for start, end in (("/home/me/", ".png"), (".cache/huggingface/", ".png"), ("1.2.840.", "")):
        rows = {f"{start}{i}{end}": encode(WIDE + i) for i in range(2)}
        assert reasons(make_parquet(tmp_path / "cats.parquet", rows)) == {"0.jpg": "", "1.jpg": ""}


def test_each_row_group_is_read_once_though_names_are_in_no_order(tmp_path, monkeypatch):
    names = [f"{name}.png" for name in "gbdafhce"]
    files = {name: encode(WIDE + i) for i, name in enumerate(names)}
    path, groups = make_parquet(tmp_path / "cats.parquet", files), []
    read_group = parquet.pq.ParquetFile.read_row_group

    def counted(file, group, columns):
        groups.append(group)
        return read_group(file, group, columns)

    monkeypatch.setattr(parquet.pq.ParquetFile, "read_row_group", counted)
    assert list(reasons(path)) == names
    assert groups == [0, 1, 2, 3]


def test_many_shards_need_few_open_files(tmp_path):
    for shard in range(40):
        make_parquet(tmp_path / f"{shard}.parquet", {"a.png": encode(WIDE + shard)})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 10, hard))
    try:
        assert len(reasons(tmp_path)) == 40
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_folder_of_shards_as_data_sets_have_it(tmp_path):
    folder = make_folder(tmp_path, {"README.md": b"# Cats", "data/c.png": PNG})
    for shard in ("train-00000", "train-00001"):
        make_parquet(folder / f"data/{shard}.parquet", {"a.png": PNG, "b.png": encode(WIDE + 1)})
    assert reasons(folder) == {
        "README.md": "not an image file",
        "data/c.png": "",
        "data/train-00000/a.png": "",
        "data/train-00000/b.png": "",
        "data/train-00001/a.png": "",
        "data/train-00001/b.png": "",
    }


def test_a_large_parquet_file_is_read_in_a_folder_as_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.inputs.untrusted.MAX_FILE_MB", len(PNG) * 1.5 / 10**6)
    path = make_parquet(tmp_path / "cats.parquet", {"a.png": PNG, "b.png": PNG})
    for source in (path, tmp_path):
        assert [image.reason for image in read(source)] == ["", ""]


def test_a_parquet_file_that_may_not_be_read_is_not_called_corrupt(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    path = make_parquet(tmp_path / "cats.parquet", {"a.png": PNG})
    monkeypatch.setattr("pipeline.inputs.parquet.pq.ParquetFile", refuse)
    with pytest.raises(UserError, match="may not be read: change its permissions"):
        read(path)


def test_a_row_group_too_large_to_read_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.inputs.parquet._GROUP_BYTES", 10)
    path = make_parquet(tmp_path / "cats.parquet", {"a.png": PNG})
    assert reasons(path) == {"a.png": "row group of 0.0 GB; write it with smaller ones"}


def test_fit_and_size(make_source):
    source = make_source({"cat.png": PNG})
    np.testing.assert_array_equal(read(source, size=40)[0].pixels, WIDE[:, 10:50])
    padded = read(source, size=60, fit="pad")[0].pixels
    np.testing.assert_array_equal(padded[10:50], WIDE)


@pytest.mark.parametrize("make", [make_folder, make_zip])
def test_natural_order(tmp_path, make):
    names = ["1.png", "2.png", "10.png", "b/2.png", "b/010.png", "b/10.png", "b/" + "9" * 200]
    source = make(tmp_path / "pictures.zip", {name: PNG for name in reversed(names)})
    assert [image.file for image in read(source)] == names


def test_dirty_files_come_with_their_reason(make_source):
    source = make_source(
        {
            "good.JPG": encode(kind="JPEG"),
            "empty.png": b"",
            "notes.txt": b"feed the cat",
            "notes.jpg": b"feed the cat",
            "cut.jpg": encode(kind="JPEG")[:-300],
            "small.png": encode(WIDE[:15]),
            "pixel.gif": encode(WIDE[:1, :1], "GIF"),
        }
    )
    assert reasons(source) == {
        "good.JPG": "",
        "empty.png": "empty file",
        "notes.txt": "not an image file",
        "notes.jpg": "not an image",
        "cut.jpg": "truncated file",
        "small.png": "smaller than 16 px",
        "pixel.gif": "smaller than 16 px",
    }
    for image in read(source):
        assert (image.pixels is None) == bool(image.reason)
        assert bool(image.sha256) == (image.file != "notes.txt")


def test_odd_names(make_source):
    names = ["-rf.png", "Käthe 猫.png", "two\nlines.png", " .png", "100%.png", "a,b;\"c'.png"]
    assert reasons(make_source(dict.fromkeys(names, PNG))) == dict.fromkeys(names, "")


def test_hidden_files_are_passed_over(make_source):
    hidden = [".DS_Store", "a/Thumbs.db", "desktop.ini", "__MACOSX/._cat.png", ".git/x.png"]
    assert list(reasons(make_source(dict.fromkeys([*hidden, "a/cat.png"], PNG)))) == ["a/cat.png"]


def test_twice_the_same(make_source):
    source = make_source({f"{i}.png": encode(WIDE // (i + 1)) for i in range(12)})
    first, second = read(source), read(source)
    assert [image.sha256 for image in first] == [image.sha256 for image in second]


def test_folder_links(tmp_path):
    outside = make_folder(tmp_path / "outside", {"cat.png": PNG})
    source = make_folder(tmp_path / "pictures", {"cat.png": PNG})
    (source / "in.png").symlink_to("cat.png")
    (source / "out.png").symlink_to(outside / "cat.png")
    (source / "lost.png").symlink_to("nowhere.png")
    (source / "round.png").symlink_to("round.png")
    (source / "folder").symlink_to(outside)
    (source / "loop").symlink_to(source)
    found = reasons(source)
    assert found.pop("round.png").startswith("cannot be read")
    assert found == {
        "cat.png": "",
        "in.png": "",
        "out.png": "link that leads out of the source",
        "lost.png": "cannot be read: No such file or directory",
        "folder": "link to a folder",
        "loop": "link to a folder",
    }


def linked(tmp_path):
    """A folder with one picture and links: out of it, within it, to folders, and in circles."""
    outside = make_folder(tmp_path / "outside", {"a.png": PNG, "inner/b.png": PNG})
    source = make_folder(tmp_path / "pictures", {"cat.png": PNG})
    (outside / "back").symlink_to(source)
    (source / "in.png").symlink_to("cat.png")
    (source / "out.png").symlink_to(outside / "a.png")
    (source / "lost.png").symlink_to("nowhere.png")
    (source / "folder").symlink_to(outside)
    (source / "again").symlink_to(outside)
    (source / "loop").symlink_to(source)
    return source


def test_links_are_followed_where_that_is_asked_for_and_into_no_folder_twice(tmp_path):
    found = read_source(linked(tmp_path), 32, "crop", 16, follow_links=True)
    assert {image.file: image.reason for image in found} == {
        **dict.fromkeys(["cat.png", "in.png", "out.png", "again/a.png", "again/inner/b.png"], ""),
        "lost.png": "cannot be read: No such file or directory",
        **dict.fromkeys(["again/back", "folder", "loop"], "link to a folder"),
    }


def test_a_link_to_a_folder_of_the_source_is_not_read_though_its_name_comes_first(tmp_path):
    source = make_folder(tmp_path / "pictures", {"b/cat.png": PNG})
    (source / "a").symlink_to(source / "b")
    outside = make_folder(tmp_path / "outside", {"inner/dog.png": encode(WIDE + 1)})
    (source / "c").symlink_to(outside / "inner")
    (source / "d").symlink_to(outside)
    found = read_source(source, 32, "crop", 16, follow_links=True)
    assert {image.file: image.reason for image in found} == {
        "a": "link to a folder",
        "b/cat.png": "",
        "c/dog.png": "",
    }


@pytest.mark.parametrize("follow_links", [False, True])
def test_the_record_of_files_behind_a_source_is_what_is_read_of_it(tmp_path, follow_links):
    source = linked(tmp_path)
    recorded = {path.relative_to(source).as_posix() for path in files_behind(source, follow_links)}
    entries = list_folder(source, follow_links)
    assert recorded == {entry.file for entry in entries if not entry.fault}


def test_a_folder_of_nothing_but_links_to_shards_names_the_setting(tmp_path):
    source = make_folder(tmp_path / "source", {"README.md": b""})
    (source / "a.parquet").symlink_to(make_parquet(tmp_path / "a.parquet", {"a.png": PNG}))
    with pytest.raises(UserError, match=r"holds no image files .* 1 links, which data.follow_link"):
        read(source)
    found = read_source(source, 32, "crop", 16, follow_links=True)
    assert [image.file for image in found if not image.reason] == ["a/a.png"]


def test_a_linked_source_is_read(tmp_path):
    make_folder(tmp_path / "pictures", {"cat.png": PNG})
    (tmp_path / "link").symlink_to("pictures")
    assert reasons(tmp_path / "link") == {"cat.png": ""}


def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    make_folder(tmp_path, {"cat.png": PNG})
    assert reasons(tmp_path) == {"cat.png": "", "pipe.png": "not a regular file"}


def test_a_huge_file_is_not_read(tmp_path):
    make_folder(tmp_path, {"cat.png": PNG})
    with open(tmp_path / "huge.png", "wb") as file:
        file.truncate(101 * 10**6)
    assert reasons(tmp_path)["huge.png"] == "larger than 100 MB"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_unreadable_files_and_folders(tmp_path):
    make_folder(tmp_path, {"cat.png": PNG, "shut.png": PNG, "shut/cat.png": PNG})
    (tmp_path / "shut.png").chmod(0)
    (tmp_path / "shut").chmod(0)
    try:
        found = reasons(tmp_path)
    finally:
        (tmp_path / "shut").chmod(0o700)
    denied = "cannot be read: Permission denied"
    assert found == {"cat.png": "", "shut": denied, "shut.png": denied}


def test_names_that_are_no_utf8(tmp_path):
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(PNG)
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    assert reasons(tmp_path) == {"caf\\xe9.png": ""}


def test_zip_entry_without_a_name(tmp_path):
    source = make_zip(tmp_path / "a.zip", {"cat.png": PNG, "nameless": PNG})
    source.write_bytes(source.read_bytes().replace(b"nameless", b"\0ameless"))
    assert reasons(source) == {"": "not an image file", "cat.png": ""}


def test_zip_folders_are_no_files(tmp_path):
    source = make_zip(tmp_path / "a.zip", {"a/": b"", "a/cat.png": PNG})
    assert reasons(source) == {"a/cat.png": ""}


def test_hostile_zip(tmp_path):
    names = ["../up.png", "a/../../up.png", "/root.png", "C:\\windows.png", "a\\..\\up.png"]
    source = make_zip(tmp_path / "hostile.zip", dict.fromkeys([*names, "cat.png"], PNG))
    found = reasons(source)
    assert found.pop("cat.png") == ""
    assert found == {name.replace("\\", "/"): "path that leads out of the zip" for name in names}
    assert os.listdir(tmp_path) == ["hostile.zip"]


def change_entry(source: Path, offset: int, value: bytes) -> None:
    """Overwrite part of the last entry's record in the zip's central directory."""
    data = bytearray(source.read_bytes())
    start = data.rindex(b"PK\x01\x02") + offset
    data[start : start + len(value)] = value
    source.write_bytes(data)


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (8, b"\x01\x00", "encrypted"),
        (8, b"\x20\x00", "a patch to a file, not the file"),
        (24, b"\xff\xff\xff\x7f", "larger than 100 MB"),
        (10, b"\x63\x00", "damaged in the zip"),  # a compression nobody knows
        (16, b"\0\0\0\0", "damaged in the zip"),  # the checksum
        (42, b"\xf0\xff\0\0", "damaged in the zip"),  # where the data begins
    ],
)
def test_faulty_zip_entry(tmp_path, offset, value, reason):
    source = make_zip(tmp_path / "a.zip", {"good.png": PNG, "worse.png": PNG})
    change_entry(source, offset, value)
    assert reasons(source) == {"good.png": "", "worse.png": reason}


OFFSET = struct.pack("<HHQ", 1, 8, 2**63)  # in Zip64, larger than any file


def test_an_offset_that_no_file_has_is_damage(tmp_path):
    source = make_zip(tmp_path / "a.zip", {"good.png": PNG, "worse.png": PNG})
    data, end = source.read_bytes(), len(source.read_bytes()) - 22
    size = struct.unpack_from("<L", data, end + 12)[0] + len(OFFSET)
    source.write_bytes(
        data[:end] + OFFSET + data[end : end + 12] + struct.pack("<L", size) + data[end + 16 :]
    )
    change_entry(source, 30, struct.pack("<H", len(OFFSET)))  # of the extra field
    change_entry(source, 42, b"\xff\xff\xff\xff")  # where the data begins: see there
    assert reasons(source) == {"good.png": "", "worse.png": "damaged in the zip"}


@pytest.mark.parametrize(
    ("offset", "value", "said"),
    [(6, b"\x63\x00", "zip file version 9.9"), (46, b"\xff", "'utf-8' codec can't decode")],
)
def test_a_zip_that_cannot_be_opened_says_why(tmp_path, offset, value, said):
    source = make_zip(tmp_path / "a.zip", {"good.png": PNG, "größer.png": PNG})
    change_entry(source, offset, value)
    with pytest.raises(UserError, match=f"a.zip is a corrupt zip \\({said}"):
        reasons(source)


def test_a_zip_that_lies_of_its_sizes_takes_little_memory(tmp_path):
    make_zip(tmp_path / "a.zip", {"a.png": bytes(2 * 10**8)})
    change_entry(tmp_path / "a.zip", 24, (1000).to_bytes(4, "little"))
    code = (
        "import resource, sys; from pathlib import Path; import pipeline.inputs.dataset as s;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "print([i.reason for i in s.read_source(Path(sys.argv[1]), 8, 'crop', 1)]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    arguments = [sys.executable, "-c", code, tmp_path / "a.zip"]
    said = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.split("\n")
    assert said[0] == "['damaged in the zip']"
    assert int(said[1]) < 100_000  # kilobytes


LAB = {
    "cat_face/train/2.png": PNG,
    "cat_face/train/10.png": PNG,
    "cat_face/val/a.png": PNG,
    "cat_face/test/1.png": PNG,
    "cat_face/test/broken.png": b"",
    "cat_face/masked_image/1.png": PNG,
    "mask64/2.png": encode(np.pad(np.full((32, 64), 255, np.uint8), ((32, 0), (0, 0)))),
    "mask64/10.png": encode(np.full((64, 64), 255, np.uint8)),
}
SPLITS = [
    ("test/1.png", "test", ""),
    ("test/broken.png", "test", "empty file"),
    ("train/2.png", "train", ""),
    ("train/10.png", "train", ""),
    ("val/a.png", "val", ""),
]


def splits(source: Path) -> list[tuple[str, str, str]]:
    return [(image.file, image.split, image.reason) for image in read(source)]


@pytest.mark.parametrize("above", ["", "dataset/"])
def test_lab_layout(make_source, above):
    source = make_source({above + name: data for name, data in LAB.items()})
    assert splits(source) == [(f"{above}cat_face/{file}", *rest) for file, *rest in SPLITS]


def test_lab_layout_pointed_at_cat_face(tmp_path):
    make_folder(tmp_path, LAB)
    assert splits(tmp_path / "cat_face") == SPLITS
    assert read_lab_masks(tmp_path / "cat_face", 64).shape == (2, 64, 64)


def test_pictures_outside_the_lab_splits(make_source):
    source = make_source({**LAB, "cat_face/new.png": PNG, "README.md": b"cats"})
    found = reasons(source)
    assert found["cat_face/new.png"] == "outside train, val, test"
    assert found["README.md"] == "not an image file"


def test_lab_masks(make_source):
    source = make_source(LAB)
    hole = read_lab_masks(source, 64)
    assert hole.dtype == bool
    assert hole.shape == (2, 64, 64)
    assert hole[0, :32].all()  # black in 2.png
    assert not hole[0, 32:].any()
    assert not hole[1].any()
    np.testing.assert_array_equal(read_lab_masks(source, 16), hole[:, ::4, ::4])
    point = np.full((64, 64, 3), 255, np.uint8)
    point[21, 22] = 0
    (small,) = read_lab_masks(make_source({**LAB, "mask64/2.png": encode(point)}, "point"), 16)[:1]
    assert small.sum() == 1 and small[5, 5]  # what is to be filled is not lost by scaling
    assert hole.view(np.uint8).max() == 1  # what scikit-image adds up


def test_folders_named_as_the_lab_names_them_are_plain_elsewhere(make_source):
    source = make_source({"train/a.png": PNG, "mask64/a.png": PNG})
    assert sorted(splits(source)) == [("mask64/a.png", "", ""), ("train/a.png", "", "")]
    assert read_lab_masks(source, 64) is None


def test_a_lab_mask_that_is_not_square_is_refused_since_its_picture_is_cropped(make_source):
    wide = encode(np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(
        UserError, match=r"mask 'mask64/3\.png': is 64 x 48; masks in mask64 are square"
    ):
        read_lab_masks(make_source({**LAB, "mask64/3.png": wide}), 64)


def test_lab_without_masks(make_source):
    assert read_lab_masks(make_source({"cat_face/train/a.png": PNG}), 64) is None


def test_broken_mask(make_source):
    with pytest.raises(UserError, match=r"mask 'mask64/3\.png': empty file"):
        read_lab_masks(make_source({**LAB, "mask64/3.png": b""}), 64)


def test_no_such_source(tmp_path):
    with pytest.raises(UserError, match="cats does not exist: expected a folder"):
        read(tmp_path / "cats")


def test_neither_folder_nor_zip(tmp_path):
    make_folder(tmp_path, {"cat.png": PNG})
    with pytest.raises(UserError, match=r"cat\.png is neither a folder nor a zip: expected"):
        read(tmp_path / "cat.png")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 and no more", b"hello"])
def test_corrupt_zip(tmp_path, data):
    (tmp_path / "cats.zip").write_bytes(data)
    with pytest.raises(UserError, match=r"cats\.zip is a corrupt zip"):
        read(tmp_path / "cats.zip")


def test_a_part_of_a_split_zip_is_not_called_corrupt(tmp_path):
    source = make_zip(tmp_path / "cats.zip", {"cat.png": PNG})
    data = bytearray(source.read_bytes())
    data[-18:-14] = b"\1\0\1\0"  # the second part has the list of files, and this record
    for part in (data, data[40:]):
        source.write_bytes(part)
        with pytest.raises(UserError, match=r"cats\.zip is a part of a split zip: join its parts"):
            read(source)


@pytest.mark.parametrize(
    ("name", "parts", "said"),
    [
        ("cats.zip", 2, "part of a split zip"),
        ("cats.bin", 2, "part of a split zip"),
        ("cats.zip", 1, "corrupt zip"),
    ],
)
def test_a_part_of_a_split_zip64_is_told_by_the_number_of_parts(tmp_path, name, parts, said):
    data = bytearray(make_zip(tmp_path / name, {"cat.png": PNG}).read_bytes())
    data[-18:-14] = b"\xff" * 4  # as Zip64 writes them; the record that would count is not there
    data[-22:-22] = b"PK\6\7" + bytes(12) + parts.to_bytes(4, "little")
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=said):
        read(tmp_path / name)


@pytest.mark.parametrize("cut", range(1, 22))
def test_a_zip_cut_in_its_last_record_is_not_called_a_part(tmp_path, cut):
    source = make_zip(tmp_path / "cats.zip", {"cat.png": PNG})
    source.write_bytes(source.read_bytes()[:-cut])
    with pytest.raises(UserError, match="corrupt zip"):
        read(source)


def test_cut_zip(tmp_path):
    source = make_zip(tmp_path / "cats.zip", {"cat.png": PNG})
    source.write_bytes(source.read_bytes()[:-30])
    with pytest.raises(UserError, match=r"cats\.zip is a corrupt zip .*: fetch it again"):
        read(source)


@pytest.mark.parametrize("files", [{}, {"notes.txt": b"none"}, {".hidden.png": PNG}])
@pytest.mark.parametrize("make", [make_folder, make_zip])
def test_no_images(tmp_path, make, files):
    path = tmp_path / "pictures.zip"
    if make is make_folder:
        path.mkdir()
    with pytest.raises(UserError, match=r"pictures\S* holds no image files \(.jpg .*expected"):
        read(make(path, files))


def test_no_rows(tmp_path):
    with pytest.raises(UserError, match=r"cats\S* holds no image files"):
        read(make_parquet(tmp_path / "cats.parquet", {}))


def test_a_zip_that_may_not_be_read_is_not_called_corrupt(tmp_path, monkeypatch):
    (tmp_path / "cats.zip").write_bytes(b"PK")

    def forbidden(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(zipfile, "ZipFile", forbidden)
    with pytest.raises(UserError, match=r"cats.zip may not be read: change its permissions"):
        list(read_source(tmp_path / "cats.zip", 64, "crop", 32))


def test_a_disk_that_fails_is_not_called_a_corrupt_zip(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    source = make_zip(tmp_path / "cats.zip", {"cat.png": PNG})
    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipExtFile, "read", fail)
        assert reasons(source) == {"cat.png": "cannot be read: Input/output error"}
    monkeypatch.setattr(zipfile, "ZipFile", fail)
    with pytest.raises(UserError, match=r"cats\.zip cannot be read: Input/output error"):
        read(source)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (9, "deflate64"),
        (12, "bzip2"),
        (16, "cmpsc"),
        (93, "zstd"),
        (94, "mp3"),
        (95, "xz"),
        (96, "jpeg"),
        (98, "ppmd"),
    ],
)
def test_a_sound_file_that_python_cannot_unpack_is_not_called_damaged(tmp_path, method, name):
    source = make_zip(tmp_path / "a.zip", {"good.png": PNG, "worse.png": PNG})
    change_entry(source, 10, bytes([method, 0]))
    assert reasons(source) == {"good.png": "", "worse.png": f"packed with {name}; use deflate"}
