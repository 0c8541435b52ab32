"""Files are whole or absent, and known to be whole when they are read."""

import json
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pipeline.models.checkpoints import save_model
from pipeline.plumbing.errors import UserError, plain_errors
from pipeline.plumbing.files import (
    fresh_folder,
    json_text,
    load_array,
    new_array,
    new_folder,
    read_table,
    save_array,
    write_atomically,
)
from pipeline.plumbing.hashing import verify_checksum
from pipeline.reporting.pictures import save_picture

NOISE = np.random.default_rng(0).integers(256, size=(200, 200, 3), dtype=np.uint8)

WRITERS = {
    "array": lambda folder: save_array(folder / "a.npy", NOISE),
    "map": lambda folder: new_array(folder / "a.npy", np.uint8, NOISE.shape),
    "model": lambda folder: save_model(folder / "m.safetensors", {}, nn.Linear(200, 200)),
    "picture": lambda folder: save_picture(folder / "p.png", NOISE),
    "table": lambda folder: pd.DataFrame(NOISE[0]).to_csv(folder / "t.csv", chunksize=1),
    "bytes": lambda folder: write_atomically(folder / "b", NOISE.tobytes()),
}


@contextmanager
def small_files():
    """No file may be larger than a kilobyte: what a full disk does, without the need of one.

    No fixture, whose limit would also meet the log that pytest itself may be writing.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_of_two_writers_of_a_file_both_succeed(tmp_path):
    contents = [bytes([letter]) * 1000 for letter in b"ab"]

    def work(content):
        for _ in range(50):
            write_atomically(tmp_path / "file", content)

    with ThreadPoolExecutor() as pool:
        list(pool.map(work, contents))
    assert (tmp_path / "file").read_bytes() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path):
    write_atomically(tmp_path / ("n" * 251 + ".png"), b"picture")
    assert [len(path.name) for path in tmp_path.iterdir()] == [255]


def test_a_picture_is_kept_where_the_disk_has_no_room_for_a_new_one(tmp_path):
    save_picture(tmp_path / "p.png", NOISE[:4, :4])
    before = (tmp_path / "p.png").read_bytes()
    with small_files(), pytest.raises(OSError, match="too large"):
        save_picture(tmp_path / "p.png", NOISE)
    assert (tmp_path / "p.png").read_bytes() == before


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_one_line_and_leaves_what_was_there(tmp_path, writer):
    target = tmp_path / "out"
    with fresh_folder(target) as folder:
        (folder / "old").write_text("old")
    full = pytest.raises(SystemExit)
    with full as end, small_files(), plain_errors(), fresh_folder(target) as folder:
        WRITERS[writer](folder)
    assert end.value.code == (
        f"error: {target}: the disk is full; make room and run the same command again"
    )
    assert (target / "old").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_single_file_is_named_where_the_disk_is_full(tmp_path):
    (tmp_path / "b").write_text("old")
    full = pytest.raises(SystemExit, match=r"b: the disk is full")
    with full, small_files(), plain_errors():
        write_atomically(tmp_path / "b", bytes(2000))
    assert (tmp_path / "b").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_an_empty_folder_that_a_user_names_stays_the_same_one(tmp_path, monkeypatch):
    """It may be a mount, or a shell may stand in it. What lies beside it is not touched."""
    target, beside = tmp_path / "out", tmp_path / "out.partial"
    for folder in (target, beside):
        folder.mkdir()
    (beside / "mine").write_text("mine")
    before = target.stat().st_ino
    monkeypatch.chdir(target)
    with new_folder(Path()) as folder:
        (folder / "sub").mkdir()
        (folder / "sub/new").write_text("new")
    assert target.stat().st_ino == before
    assert [path.name for path in target.rglob("*")] == ["sub", "new"]
    assert (beside / "mine").read_text() == "mine"
    with pytest.raises(UserError, match="exists and is not an empty folder"), new_folder(target):
        pass


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_that_a_user_names_is_as_before_after_an_error(tmp_path, there):
    target = tmp_path / "a/out"
    if there:
        target.mkdir(parents=True)
    with pytest.raises(ZeroDivisionError), new_folder(target) as folder:
        (folder / "new").write_text("new")
        raise ZeroDivisionError
    assert target.exists() == there and not list(target.glob("*"))


def test_a_name_of_digits_in_a_table_stays_a_name(tmp_path):
    table = pd.DataFrame({"set": ["1e5", "01"], "area": [0.5, 1]})
    table.to_csv(tmp_path / "masks.csv", index=False)
    assert read_table(tmp_path / "masks.csv").equals(table)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    target = tmp_path_factory.mktemp("made") / "out"
    with fresh_folder(target) as folder:
        save_array(folder / "a.npy", NOISE)
        (folder / "sub").mkdir()
        (folder / "sub/file name").write_text("x")
    return target


def test_an_array_is_written_as_numpy_writes_it(made, tmp_path):
    np.save(tmp_path / "a.npy", NOISE)
    assert (made / "a.npy").read_bytes() == (tmp_path / "a.npy").read_bytes()
    assert np.array_equal(load_array(made / "a.npy", mmap_mode="r"), NOISE)


def test_the_sums_are_those_of_sha256sum(made):
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    answer = subprocess.run(command, cwd=made, capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines() == ["a.npy: OK", "sub/file name: OK"]


@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found(made, at, bit):
    path = made / "a.npy"
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[int(at * len(whole))] ^= 1 << bit
    path.write_bytes(damaged)
    try:
        with pytest.raises(UserError, match=r"a\.npy is damaged: .*; 'dvc repro' makes it again"):
            load_array(path)
    finally:
        path.write_bytes(whole)
    verify_checksum(path)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"\x80\x04pickle"])
def test_a_file_without_a_sum_that_is_no_array_is_named_too(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.npy cannot be read"):
        load_array(tmp_path / "a.npy")
    with pytest.raises(UserError, match=r"b\.npy does not exist; run 'dvc repro'"):
        load_array(tmp_path / "b.npy")


def test_the_same_model_has_the_same_bytes_in_every_process(tmp_path):
    code = (
        "import sys, torch; from pathlib import Path;"
        "from pipeline.models.checkpoints import save_model;"
        "torch.manual_seed(0); model = torch.nn.Linear(3, 3);"
        "[save_model(Path(f'{sys.argv[1]}{i}'), {'b': 1, 'a': 2}, model) for i in range(9)]"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "m")], check=True)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


NUMBERS = st.dictionaries(st.text(), st.floats() | st.integers() | st.text() | st.none())


@given(NUMBERS)
def test_a_record_is_json_whatever_its_numbers(record):
    def no_constant(name):
        raise AssertionError(f"{name} is no JSON")

    read = json.loads(json_text(record), parse_constant=no_constant)
    for name, value in record.items():
        has_value = not isinstance(value, float) or np.isfinite(value)
        assert read[name] == (value if has_value else None)
