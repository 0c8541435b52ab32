"""What a run in MLflow stands for is found for the stages of every pipeline."""

import pytest
from dvc.repo import Repo

from pipeline.plumbing.entry import outputs
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
