"""What a run in MLflow stands for is found for the stages of every pipeline."""

import pytest
from dvc.repo import Repo

from pipeline.plumbing.entry import changed, outputs
from tests.clone import ROOT


@pytest.fixture
def project(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_every_entry_is_known_by_the_name_that_dvc_gives_it(project):
    with Repo() as repo:
        stages = [stage for stage in repo.index.stages if not stage.always_changed]
        entries = outputs()
        assert entries.keys() == {stage.addressing for stage in stages}
        for stage in stages:
            assert stage.outs[0].fs_path == str(ROOT / entries[stage.addressing][2])


def test_an_experiment_is_named_by_what_was_changed_added_and_removed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = "gamma: cosine\npreset: tiny\nscore: {lpips: , others: {lama: fills}}\n"
    monkeypatch.setattr("pipeline.plumbing.entry.git", lambda *_: before)
    now = "gamma: square\npreset: tiny\nscore: {lpips: alex.pth, others: {}}\n"
    (tmp_path / "params.yaml").write_text(now)
    assert changed() == "gamma=square, lpips=alex.pth, lama=none"
