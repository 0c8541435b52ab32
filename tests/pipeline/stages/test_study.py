"""The study's stages, on models with random weights: small, but the whole way."""

import shutil

import numpy as np
import pandas as pd
import pytest

from maskgit.data.holes import draw_holes
from pipeline.plumbing.files import PREPARED, STUDY
from pipeline.reporting.study import REFERENCE, Plan
from pipeline.stages import study, study_report
from tests.store import project_with_store

SMALL = {
    "confidence": Plan(gammas=("cosine", "entropic"), iterations=(1, 8), temperatures=(0.5, 1.0)),
    "entropy_bound": Plan(("cosine",), (3, 8), temperatures=(1.0,), choice_temperatures=(0.0,)),
}


@pytest.fixture
def project(small_models, tmp_path, monkeypatch):
    folder = tmp_path / "project"
    shutil.copytree(small_models, folder)
    (folder / PREPARED).mkdir(parents=True)
    for number, split in enumerate(["val", "test"]):
        images = np.random.default_rng(number).integers(256, size=(5, 64, 64, 3), dtype=np.uint8)
        np.save(folder / PREPARED / f"{split}.npy", images)
        holes = draw_holes(5, ["box"], (0.1, 0.2), 64, seed=number)
        np.save(folder / PREPARED / f"{split}_holes.npy", holes)
    monkeypatch.setattr(study, "HOLE_KINDS", ("thin", "half"))
    monkeypatch.setattr(study, "PLANS", SMALL)
    monkeypatch.setattr(study_report, "PLANS", SMALL)
    with project_with_store(folder):
        yield folder


def test_the_study_tunes_fills_and_judges(project, capsys):
    for decoder in SMALL:
        study.main(decoder)
    tuning = pd.read_csv(project / STUDY / "confidence/tuning.csv")
    assert len(tuning) == 2 * 2 and tuning["chosen"].sum() == 1
    images = pd.read_csv(project / STUDY / "confidence/images.csv")
    settings = images[["hole_kind", "schedule", "iterations"]].drop_duplicates()
    assert len(settings) == 2 * 3 and len(images) == 2 * 3 * 5  # in one step schedules are the same
    bounded = pd.read_csv(project / STUDY / "entropy_bound/images.csv")
    assert bounded.groupby("iterations")["steps"].mean().is_monotonic_decreasing
    study_report.main()
    found = pd.read_csv(project / "reports/study/findings.csv")
    assert len(found) == 2 * (3 + 2 - 1)
    assert (
        tuple(images[["decoder", "schedule", "iterations"]].drop_duplicates().iloc[1]) == REFERENCE
    )
    assert "| entropy_bound |" in capsys.readouterr().out
    assert (project / "reports/study/study.png").stat().st_size > 1000
