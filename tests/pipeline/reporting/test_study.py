import re

import numpy as np
import pandas as pd
import pytest
import yaml

from maskgit.inpainting.registry import DECODERS, Registered, step_decoders
from maskgit.schedules import NAMES
from maskgit.scoring.tuning import best_setting
from pipeline.plumbing.params import load_params
from pipeline.reporting.study import (
    REFERENCE,
    findings,
    findings_text,
    plot_study,
    settings_table,
    too_few_text,
)
from pipeline.reporting.study_plans import PLANS, STEPS
from tests.clone import ROOT
from tests.pictures import drawn

N = 60


def setting(decoder, schedule, iterations, kind, kd, seed, steps=None):
    rng = np.random.default_rng(seed)
    common = np.random.default_rng(99).normal(size=N)  # what the images have in common
    columns = {"decoder": decoder, "schedule": schedule, "iterations": iterations}
    columns |= {"image": range(N), "picture": range(N), "hole_area": 0.2}
    columns |= {"steps": steps or iterations}
    columns |= {"kd_x": kd + common + 0.1 * rng.normal(size=N), "perceptual_hole": kd}
    return pd.DataFrame(columns).assign(hole_kind=kind)


@pytest.fixture(scope="module")
def images():
    """In thin holes all are alike; in large ones few steps are worse and halton is better."""
    tables = []
    for number, kind in enumerate(["thin", "half"]):
        large = number
        for i, (decoder, schedule, iterations, kd) in enumerate(
            [
                (*REFERENCE, 2.0),
                ("confidence", "cosine", 2, 2.0 + 0.5 * large),
                ("confidence", "linear", 8, 2.0),
                ("halton", "cosine", 8, 2.0 - 0.5 * large),
            ]
        ):
            tables.append(setting(decoder, schedule, iterations, kind, kd, 10 * number + i))
        tables.append(setting("entropy_bound", "cosine", 50, kind, 2.0, 10 * number + 9, steps=3.0))
    return pd.concat(tables, ignore_index=True)


def test_each_setting_is_held_against_the_reference(images):
    found = findings(images).set_index(["hole_kind", "decoder", "schedule", "iterations"])
    assert len(found) == 2 * 4 and REFERENCE not in {index[1:] for index in found.index}
    verdicts = found["verdict"]
    assert verdicts["half", "halton", "cosine", 8] == "better"
    assert verdicts["half", "confidence", "cosine", 2] == "worse"
    assert set(
        verdicts.drop([("half", "halton", "cosine", 8), ("half", "confidence", "cosine", 2)])
    ) == {""}
    assert found["steps"]["half", "entropy_bound", "cosine", 50] == 3.0


def test_the_words_name_the_best_and_the_cheapest(images):
    thin, half = findings_text(settings_table(images), findings(images)).splitlines()[2:4]
    assert "halton, cosine, 8" in half and "entropy_bound, 50 nats" in half
    assert "confidence, cosine, 2" in thin  # fewer steps keep up where the hole is small
    counts = findings_text(settings_table(images), findings(images)).splitlines()[-4:]
    assert "| halton | 1 | 1 | 0 |" in counts


def equal_settings(seed, fills, between_images, between_fills):
    """Two equal settings, beside the reference: what differs is drawn for each image and fill."""
    tables = []
    for number, each in enumerate((REFERENCE, ("halton", "cosine", 8))):
        rng = np.random.default_rng([seed, number])
        own = between_images * rng.normal(size=N)  # all fills of an image have it in common
        for fill in range(fills):
            values = own + between_fills * rng.normal(size=N)
            tables.append(setting(*each, "thin", 0, 0).assign(fill=fill, kd_x=values))
    return pd.concat(tables, ignore_index=True)


def width(fills, between_images, between_fills, seed=0):
    (row,) = findings(equal_settings(seed, fills, between_images, between_fills)).itertuples()
    return row.high - row.low


def test_the_reference_keeps_up_with_itself(images):
    """Where all others are shown to be worse, or take more passes."""
    settings, found = settings_table(images), findings(images)
    worse = findings_text(settings, found.assign(verdict="worse"))
    longer = findings_text(settings, found.assign(verdict="", steps=99.0))
    for text in (worse, longer):
        rows = [line for line in text.splitlines() if line.startswith(("| thin", "| half"))]
        assert rows and all(row.endswith("| confidence, cosine, 8 |  |") for row in rows)


def test_more_fills_narrow_an_interval_where_fills_of_one_hole_differ():
    widths = [width(fills, between_images=0.1, between_fills=1) for fills in (1, 4, 16)]
    assert widths[1] < 0.7 * widths[0] and widths[2] < 0.7 * widths[1]  # about a half each


def test_equal_fills_of_a_hole_are_no_more_than_one():
    one, many = (width(fills, between_images=1, between_fills=0) for fills in (1, 8))
    assert many == pytest.approx(one)


@pytest.mark.parametrize(("between_images", "between_fills"), [(1, 0.2), (0.2, 1)])
def test_equal_settings_are_told_apart_in_one_study_of_twenty_at_most(
    between_images, between_fills
):
    wrong = 0
    for seed in range(40):
        found = findings(equal_settings(seed, 4, between_images, between_fills))
        wrong += found["verdict"].ne("").any()
    assert wrong <= 6  # of 2 expected; more happen by chance once in 300


def too_few(images):
    settings = settings_table(images)
    return too_few_text(images, settings, findings(images))


def test_an_undecided_setting_says_how_many_images_would_decide(images):
    """In thin holes all are alike; in large ones the best setting is told from the reference."""
    (line,) = too_few(images).splitlines()
    assert line.startswith("- thin: ") and line.endswith(" pictures would show it.")
    assert " is not told apart from the reference by 60 pictures with 1 fill of each hole." in line


def test_a_study_of_a_few_pictures_says_that_it_gives_no_verdict(images):
    assert too_few(images[images["picture"] < 8]) == "- Verdicts need 30 pictures, and there are 8."


def slightly_better(fills, between_images, between_fills, errors=0.9):
    """As `equal_settings`, with a mean that is better by so many standard errors."""
    images = equal_settings(0, fills, between_images, between_fills)
    other = images["decoder"] == "halton"
    gap = images.loc[other, "kd_x"].mean() - images.loc[~other, "kd_x"].mean()
    error = np.sqrt(2 * (between_images**2 + between_fills**2 / fills) / N)
    images.loc[other, "kd_x"] -= gap + errors * error
    return images


def test_where_fills_differ_more_of_them_would_decide():
    said = too_few(slightly_better(3, between_images=0.1, between_fills=1))
    assert re.search(
        r"60 pictures with 3 fills of each hole\. .* about \d+ pictures or \d+ fills ", said
    )


def test_where_only_images_differ_no_number_of_fills_would_decide():
    said = too_few(slightly_better(3, between_images=1, between_fills=0.01))
    assert "pictures would show it, but no number of fills" in said


def test_settings_that_are_alike_ask_for_no_million_of_images():
    said = too_few(slightly_better(1, between_images=1, between_fills=0.01, errors=0.001))
    assert said.endswith(
        "the reference are alike; 100 times the 60 pictures would not tell them apart."
    )


@pytest.fixture(scope="module")
def panels(images):
    """The axes of the picture, a row for each cut through the settings, a column for each hole."""
    with drawn(plot_study, settings_table(images)) as figure:
        yield np.reshape(figure.axes, (2, -1))


def lines(panel):
    return {line.get_label(): line.get_xydata().tolist() for line in panel.lines}


def test_above_a_panel_has_the_schedules_of_the_reference_and_below_its_decoders(panels):
    above, below = panels[:, 0]
    assert set(lines(above)) == {"cosine", "linear"}
    assert set(lines(below)) == {"confidence", "halton", "entropy_bound"}


def test_a_line_goes_through_the_mean_scores_of_its_settings_in_the_order_of_their_steps(
    images, panels
):
    for kind, panel in zip(["thin", "half"], panels[1], strict=True):
        own = images[(images["hole_kind"] == kind) & (images["decoder"] == "confidence")]
        means = own[own["schedule"] == "cosine"].groupby("iterations")["kd_x"].mean()
        assert lines(panel)["confidence"] == [[2, means[2]], [8, means[8]]]


def test_the_steps_of_the_plans_are_marked(panels):
    assert [tick.get_text() for tick in panels[1, 0].get_xticklabels()] == list(map(str, STEPS))


def test_plans_name_schedules_that_exist_and_no_setting_twice():
    for plan in PLANS.values():
        assert set(plan.gammas) <= set(NAMES)
        assert len(set(plan.settings())) == len(plan.settings())
        assert plan.tuned_at in plan.iterations


def wrong_lines():
    """What has to change in study/dvc.yaml, so that it runs every registered decoder."""
    stages = yaml.safe_load((ROOT / "study/dvc.yaml").read_text())["stages"]
    matrix, results = stages["study"]["matrix"]["decoder"], stages["study_report"]["deps"]
    named = [dep.removeprefix("outputs/study/") for dep in results if "outputs/study/" in dep]
    registered, wrong = step_decoders(), []
    for where, names, line in (
        ("study: matrix: decoder", matrix, "{}"),
        ("study_report: deps", named, "outputs/study/{}"),
    ):
        missing = [name for name in registered if name not in names]
        unknown = [name for name in names if name not in registered]
        wrong += [f"add {line.format(name)} to {where}" for name in missing]
        wrong += [f"remove {line.format(name)} from {where}" for name in unknown]
    return wrong


def test_the_stages_run_every_registered_decoder():
    assert not wrong_lines(), f"study/dvc.yaml: {'; '.join(wrong_lines())}"


def test_a_decoder_that_the_stages_do_not_run_is_noticed(monkeypatch):
    monkeypatch.setitem(DECODERS, "raster", Registered("nowhere:Raster"))
    assert wrong_lines() == [
        "add raster to study: matrix: decoder",
        "add outputs/study/raster to study_report: deps",
    ]


def test_the_reference_is_the_decoder_and_the_schedule_of_the_project():
    decoding = load_params(ROOT).decoding
    assert (decoding.decoder, decoding.gamma) == REFERENCE[:2]


def test_a_setting_has_to_be_good_in_both():
    assert best_setting([1.0, 2.0, 1.1], [3.0, 1.0, 1.1]) == 2
    assert best_setting([-0.5, 1e-3], [1.0, 1.0]) == 0  # by chance below zero
