"""The study's stages, on models with random weights: small, but the whole way."""

import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from maskgit.data.holes import draw_holes
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.params import load_params
from pipeline.plumbing.places import PREPARED, STUDY
from pipeline.reporting.extractor import EXTRACTOR
from pipeline.reporting.study import REFERENCE
from pipeline.reporting.study_plans import Plan
from pipeline.stages import study, study_report, train_feed_forward
from tests.pictures import colours, cycle
from tests.store import project_with_store

SMALL = {
    "confidence": Plan(gammas=("cosine", "entropic"), iterations=(1, 8), temperatures=(0.5, 1.0)),
    "entropy_bound": Plan(("cosine",), (3, 8), temperatures=(1.0,), choice_temperatures=(0.0,)),
}


KINDS = ("thin", "half")
IMAGES = 5
TWICE = Path("outputs/twice")  # of a study with two fills of each hole


@pytest.fixture(scope="module")
def project(small_models, tmp_path_factory):
    """A folder in which the study of two decoders has run, and its report."""
    folder = tmp_path_factory.mktemp("study") / "project"
    shutil.copytree(small_models, folder)
    (folder / PREPARED).mkdir(parents=True)
    shape = IMAGES, 64, 64, 3
    for number, split in enumerate(["val", "test"]):
        images = np.random.default_rng(number).integers(256, size=shape, dtype=np.uint8)
        np.save(folder / PREPARED / f"{split}.npy", images)
        holes = draw_holes(IMAGES, ["box"], (0.1, 0.2), 64, seed=number)
        np.save(folder / PREPARED / f"{split}_holes.npy", holes)
    with pytest.MonkeyPatch.context() as patch, project_with_store(folder):
        EXTRACTOR.parent.mkdir(parents=True)
        EXTRACTOR.write_text("efficientnet_lite0\n")
        patch.setattr(study, "HOLE_KINDS", KINDS)
        patch.setattr(study, "PLANS", SMALL)
        patch.setattr(study_report, "PLANS", SMALL)
        for decoder in SMALL:
            study.main(decoder)
        study_report.main()
        params = load_params()
        twice = params.changed(study=params.study.changed(fills=2))
        patch.setattr(study, "load_params", lambda: twice)
        patch.setattr(study, "STUDY", TWICE)
        study.main("entropy_bound")
    return folder


def images_of(project, decoder):
    return pd.read_csv(project / STUDY / decoder / "images.csv")


def report_of(project, name):
    return (project / "reports/study" / name).read_text()


@pytest.mark.parametrize("decoder", SMALL)
def test_one_of_all_pairs_of_temperatures_is_chosen(project, decoder):
    tuning, plan = pd.read_csv(project / STUDY / decoder / "tuning.csv"), SMALL[decoder]
    pairs = list(product(plan.temperatures, plan.choice_temperatures))
    tried = tuning[["temperature", "choice_temperature"]].itertuples(index=False, name=None)
    assert list(tried) == pairs
    assert tuning["chosen"].sum() == 1


@pytest.mark.parametrize("decoder", SMALL)
def test_every_image_is_scored_in_every_setting_and_kind_of_hole(project, decoder):
    images, settings = images_of(project, decoder), SMALL[decoder].settings()
    cases = images[["hole_kind", "schedule", "iterations", "image"]]
    expected = [
        (kind, *setting, image) for kind in KINDS for setting in settings for image in range(IMAGES)
    ]
    assert list(cases.itertuples(index=False, name=None)) == expected


@pytest.mark.parametrize("run", [lambda: study.main("halton"), train_feed_forward.main])
def test_a_copy_whose_results_dvc_would_lose_stops_before_any_work(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path.parent))
    with pytest.raises(UserError, match=r"DVC would lose these results .* --queue and --temp"):
        run()


def test_a_looser_bound_takes_fewer_steps(project):
    bounded = images_of(project, "entropy_bound")
    assert bounded.groupby("iterations")["steps"].mean().is_monotonic_decreasing


def fills_of(project):
    """Both fills of a study with two fills of each hole, a table each."""
    both = pd.read_csv(project / TWICE / "entropy_bound/images.csv")
    assert list(both["fill"].unique()) == [0, 1]
    tables = [both[both["fill"] == fill].drop(columns="fill") for fill in (0, 1)]
    return [table.reset_index(drop=True) for table in tables]


def test_the_first_of_several_fills_is_that_of_a_study_with_one(project):
    first, _ = fills_of(project)
    pd.testing.assert_frame_equal(first, images_of(project, "entropy_bound"))


def test_another_fill_of_a_hole_draws_other_tokens(project):
    first, second = fills_of(project)
    cases = ["hole_kind", "schedule", "iterations", "image", "hole_area"]
    pd.testing.assert_frame_equal(first[cases], second[cases])
    assert (first["psnr_hole"] != second["psnr_hole"]).all()


def test_every_other_setting_is_held_against_the_reference(project):
    found = pd.read_csv(project / "reports/study/findings.csv")
    settings = [(decoder, *pair) for decoder, plan in SMALL.items() for pair in plan.settings()]
    expected = {(kind, *each) for kind in KINDS for each in settings if each != REFERENCE}
    assert len(found) == len(expected)
    keys = found[["hole_kind", "decoder", "schedule", "iterations"]]
    assert set(keys.itertuples(index=False, name=None)) == expected


def test_the_findings_name_every_decoder(project):
    lines = report_of(project, "findings.md").splitlines()
    assert all(any(line.startswith(f"| {decoder} |") for line in lines) for decoder in SMALL)


def test_the_picture_has_a_line_for_every_schedule(project):
    assert colours(project / "reports/study/study.png") >= cycle(len(SMALL["confidence"].gammas))
