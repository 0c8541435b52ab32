"""The advice of several studies: it holds in every one of them, or it is not given."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.plumbing.errors import UserError
from pipeline.reporting.advice import advice, advice_text, read_study
from pipeline.reporting.study import REFERENCE, findings, settings_table

N = 40
FEW, MANY, OTHER = (
    ("confidence", "cosine", 2),
    ("confidence", "cosine", 16),
    ("halton", "cosine", 3),
)


def study(folder, **means):
    """Writes a study's report, by differences from a reference of 2 in one kind of hole."""
    tables = []
    for number, (setting, mean) in enumerate({REFERENCE: 0.0, **means["thin"]}.items()):
        rng = np.random.default_rng(number)
        columns = dict(zip(("decoder", "schedule", "iterations"), setting, strict=True))
        columns |= {"image": range(N), "picture": range(N), "steps": float(setting[2])}
        columns |= {"kd_x": 2.0 + mean + 0.05 * rng.normal(size=N), "perceptual_hole": 1.0}
        tables.append(pd.DataFrame(columns).assign(hole_kind="thin"))
    images = pd.concat(tables, ignore_index=True)
    folder.mkdir()
    settings_table(images).to_csv(folder / "settings.csv", index=False)
    findings(images).to_csv(folder / "findings.csv", index=False)
    return folder


@pytest.fixture
def studies(tmp_path):
    a = study(tmp_path / "a", thin={FEW: 0.0, OTHER: -0.5, MANY: -0.5})
    b = study(tmp_path / "b", thin={FEW: 1.0, OTHER: 0.0, MANY: -1.0})
    return {"a": a, "b": b}


def test_differences_are_shares_of_the_reference(studies):
    found = read_study(studies["b"]).set_index(["decoder", "schedule", "iterations"])
    assert found["difference"][FEW] == pytest.approx(0.5, abs=0.02)
    assert found["low"][FEW] < found["difference"][FEW] < found["high"][FEW]


def test_an_advice_holds_in_every_study(studies):
    found = advice({name: read_study(folder) for name, folder in studies.items()})
    fewest, best = found.to_dict("records")
    assert (fewest["advice"], fewest["setting"]) == ("fewest passes", "halton, cosine, 3")
    assert (best["advice"], best["setting"]) == ("best", "confidence, cosine, 16")
    assert best["holds"] == "shown to be better in 2 of 2"
    assert best["b"].startswith("-50 %") and best["b"].endswith("better")
    alone = advice({"a": read_study(studies["a"])})
    assert alone["setting"][0] == "confidence, cosine, 2"  # worse in the other study alone


def test_the_command_prints_the_table(studies):
    words = [f"{name}={folder}" for name, folder in studies.items()]
    result = CliRunner().invoke(app, ["advice", *words])
    assert result.exit_code == 0, result.output
    header, _, fewest, _ = result.output.splitlines()
    assert header == "| hole | advice | setting | passes | a | b | holds |"
    assert fewest.startswith("| thin | fewest passes | halton, cosine, 3 | 3.0 |")


def test_where_none_is_shown_to_be_better_it_says_so(tmp_path):
    folder = study(tmp_path / "a", thin={FEW: 0.0})
    assert "In thin holes no setting is shown to be better" in advice_text(
        {"a": read_study(folder)}
    )


def test_only_settings_that_every_study_has_are_advised(tmp_path):
    a = read_study(study(tmp_path / "a", thin={FEW: 0.0, OTHER: -0.5}))
    b = read_study(study(tmp_path / "b", thin={FEW: 0.0, MANY: -0.5}))
    text = advice_text({"a": a, "b": b})
    assert "| thin | fewest passes | confidence, cosine, 2 |" in text
    assert "| best |" not in text
    assert "Left out, since a study lacks them: halton; confidence, cosine, 16." in text
    with pytest.raises(UserError, match="the studies a, c have no setting in common"):
        advice({"a": a, "c": read_study(study(tmp_path / "c", thin={MANY: 0.0}))})


def test_no_share_is_taken_of_a_reference_that_is_not_above_zero(tmp_path):
    folder = study(tmp_path / "a", thin={FEW: 0.0})
    settings = pd.read_csv(folder / "settings.csv")
    settings.assign(kd_x=settings["kd_x"] - 3).to_csv(folder / "settings.csv", index=False)
    with pytest.raises(UserError, match="the reference has a kernel distance of 0 or below"):
        read_study(folder)


def test_where_every_setting_is_worse_the_reference_is_advised(tmp_path):
    folder = study(tmp_path / "a", thin={FEW: 1.0})
    text = advice_text({"a": read_study(folder)})
    assert "| thin | fewest passes | confidence, cosine, 8 | 8.0 | the reference |" in text


def test_no_setting_is_advised_that_takes_more_passes_than_the_reference(tmp_path):
    table = advice({"a": read_study(study(tmp_path / "a", thin={FEW: 1.0, MANY: 0.0}))})
    assert table["setting"][0] == "confidence, cosine, 8"


def test_too_few_pictures_give_no_advice(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.pipeline.reporting.test_advice.N", 20)
    with pytest.raises(UserError, match="verdicts need 30 pictures, and there are fewer"):
        read_study(study(tmp_path / "a", thin={FEW: 0.0}))


def test_studies_of_different_judges_are_not_compared(tmp_path):
    found = {name: read_study(study(tmp_path / name, thin={FEW: 0.0})) for name in "ab"}
    found["b"].attrs["score"] = "kid"
    with pytest.raises(UserError, match="of different judges: a by kd_x, b by kid"):
        advice(found)


def test_a_folder_without_a_report_is_told(tmp_path):
    with pytest.raises(UserError, match="has no report of a study"):
        read_study(tmp_path)
