"""Stages inpaint, reference and score with two judges, on models with random weights."""

import shutil

import numpy as np
import pandas as pd
import pytest

from maskgit.data.holes import draw_holes
from maskgit.scoring.scores import DECIDES, column_of, score_columns
from pipeline.plumbing.params import ONE_PASS
from pipeline.plumbing.places import IMAGES_CSV, INPAINTED, PREPARED, REFERENCE, SCORES
from pipeline.plumbing.seconds import read_seconds
from pipeline.reporting.extractor import EXTRACTOR, FEATURES
from pipeline.stages import inpaint, reference, score
from tests.small_models import write_params
from tests.store import project_with_store

JUDGES = ["efficientnet_lite2", "efficientnet_lite0"]
IMAGES = 4


@pytest.fixture(scope="module")
def results(small_models, tmp_path_factory):
    """The tables of the reference, of one pass and of single images, for one judge and for both."""
    folder = tmp_path_factory.mktemp("judges") / "project"
    shutil.copytree(small_models, folder)
    (folder / PREPARED).mkdir(parents=True)
    images = np.random.default_rng(0).integers(256, size=(IMAGES, 64, 64, 3), dtype=np.uint8)
    np.save(folder / PREPARED / "test.npy", images)
    np.save(folder / PREPARED / "train.npy", images[::-1])
    holes = draw_holes(IMAGES, ["box"], (0.1, 0.2), 64, seed=0)
    np.save(folder / PREPARED / "test_holes.npy", holes)
    found = {}
    with project_with_store(folder):
        inpaint.main(ONE_PASS)
        for judges in (JUDGES[:1], JUDGES):
            write_params(folder, extractor=f"[{', '.join(judges)}]", baselines="[mean_colour]")
            reference.main()
            score.main(ONE_PASS)
            paths = REFERENCE / "scores.csv", SCORES / f"{ONE_PASS}.csv", REFERENCE / IMAGES_CSV
            found[len(judges)] = [pd.read_csv(path) for path in paths]
    return folder, found


def test_every_row_has_the_columns_of_both_judges_and_the_first_decides(results):
    for table in results[1][2]:
        names = [column.name for column in score_columns(table.columns)]
        for judge in JUDGES:
            assert {f"fd_{judge}", f"kd_{judge}", f"u_ids_cv_{judge}"} <= set(names)
        assert {"perceptual_hole", "perceptual_efficientnet_lite2_hole"} <= set(names)
        assert column_of(DECIDES, table.columns).name == f"kd_{JUDGES[0]}"


def test_a_second_judge_changes_nothing_that_was_there_without_it(results):
    for alone, both in zip(results[1][1], results[1][2], strict=True):
        assert len(both.columns) > len(alone.columns)
        pd.testing.assert_frame_equal(both[alone.columns], alone)


def test_features_of_each_judge_and_their_order_are_on_record(results):
    folder, _ = results
    assert (folder / EXTRACTOR).read_text().split() == JUDGES
    for judge in JUDGES:
        assert np.load(folder / FEATURES / f"{judge}.npy").shape == (IMAGES, 1280)


def test_fills_and_baselines_are_timed(results, monkeypatch):
    folder, _ = results
    monkeypatch.chdir(folder)
    for output, keys in ((INPAINTED / ONE_PASS, [(ONE_PASS, 1)]), (REFERENCE, [("mean_colour",)])):
        times = read_seconds(output)
        found = times[["schedule", "iterations"]].itertuples(index=False, name=None)
        assert [tuple(x for x in key if x == x) for key in found] == keys
        assert (times["seconds"] > 0).all()
