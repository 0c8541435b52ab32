"""Times of fills are found by what was made in them, and lie where no result can change by them."""

import numpy as np
import pandas as pd
import pytest

from pipeline.plumbing.files import fresh_folder
from pipeline.plumbing.hashing import content_hash
from pipeline.plumbing.places import INPAINTED, REFERENCE
from pipeline.plumbing.seconds import read_seconds, seconds_of, with_seconds

COSINE = INPAINTED / "cosine"


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path


def make(output, content, times=()):
    with seconds_of(output) as kept, fresh_folder(output) as folder:
        (folder / "fill.txt").write_text(content)
        kept += times


def seconds(output):
    return read_seconds(output)["seconds"].tolist()


def test_times_belong_to_the_content_of_a_folder():
    make(COSINE, "weak guidance", [("cosine", 5, 0.25)])
    make(COSINE, "strong guidance", [("cosine", 5, 0.5)])
    assert seconds(COSINE) == [0.5]
    make(COSINE, "weak guidance")  # as DVC restores it
    assert seconds(COSINE) == [0.25]
    make(COSINE, "never timed")
    assert seconds(COSINE) == []


def test_the_same_results_have_the_same_content_however_long_they_took():
    make(COSINE, "fills", [("cosine", 5, 0.25)])
    before = content_hash(COSINE)
    make(COSINE, "fills", [("cosine", 5, 0.75)])
    assert content_hash(COSINE) == before and seconds(COSINE) == [0.75]


def test_times_of_a_temporary_copy_are_known_in_the_project(project, monkeypatch):
    copy = project / "copy"
    copy.mkdir()
    monkeypatch.setenv("DVC_ROOT", str(project))
    monkeypatch.chdir(copy)
    make(COSINE, "fills", [("cosine", 5, 0.25)])
    monkeypatch.chdir(project)
    make(COSINE, "fills")
    assert seconds(COSINE) == [0.25]


def test_a_stage_that_fails_keeps_no_times(project):
    with pytest.raises(ValueError, match="stop"), seconds_of(COSINE) as kept:
        kept.append(("cosine", 5, 0.25))
        raise ValueError("stop")
    assert not (project / ".maskgit").exists()


def table():
    names = ["cosine", "cosine", "square", "telea", "tokenizer"]
    iterations = [2, 5, 2, np.nan, np.nan]
    return pd.DataFrame({"schedule": names, "iterations": iterations, "kd_x": [1, 2, 3, 4, 5]})


def test_every_row_gets_its_own_time_and_keeps_its_scores():
    make(COSINE, "fills", [("cosine", 5, 0.5), ("cosine", 2, 0.25)])
    make(REFERENCE, "scores", [("telea", None, 0.001)])
    found = with_seconds(table())
    pd.testing.assert_frame_equal(found.drop(columns="seconds"), table())
    expected = [0.25, 0.5, np.nan, 0.001, np.nan]
    np.testing.assert_array_equal(found["seconds"], expected)


def test_without_any_time_a_table_is_as_it_was():
    make(COSINE, "fills")
    pd.testing.assert_frame_equal(with_seconds(table()), table())


def test_schedules_of_equal_fills_have_the_same_time_once():
    for name in ("cosine", "square"):
        make(INPAINTED / name, "equal fills", [(name, 2, 0.25)])
    found = with_seconds(table())
    pd.testing.assert_frame_equal(found.drop(columns="seconds"), table())
    np.testing.assert_array_equal(found["seconds"], [0.25, np.nan, 0.25, np.nan, np.nan])
