"""Every stage compares images with the networks that stage reference used."""

import pytest

from maskgit.scoring import features
from maskgit.scoring.features import FALLBACK
from pipeline.plumbing.errors import UserError
from pipeline.reporting.extractor import (
    EXTRACTOR,
    load_extractor,
    load_extractors,
    load_reference_extractors,
)


@pytest.fixture
def chosen(tmp_path, monkeypatch):
    """Writes the choice of stage reference, in a project where no weights can be found."""

    def offline(target):
        raise OSError("no network")

    def choose(*kinds):
        EXTRACTOR.parent.mkdir(parents=True)
        EXTRACTOR.write_text("".join(f"{kind}\n" for kind in kinds))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr(features, "_download_fid_weights", offline)
    return choose


@pytest.mark.usefixtures("random_weights_pass_as_official")
def test_weights_that_came_later_do_not_change_the_network(chosen, random_weights):
    chosen(load_extractor("auto", None).name)
    assert load_extractor("auto", random_weights).name == "inception"
    (kept,) = load_reference_extractors(random_weights)
    assert kept.name == FALLBACK


def test_several_networks_are_kept_in_their_order_and_each_once(chosen):
    names = ["efficientnet_lite2", "efficientnet_lite0"]
    found = load_extractors([*names, "efficientnet_lite2"], None)
    assert [extractor.name for extractor in found] == names
    chosen(*names)
    assert [extractor.name for extractor in load_reference_extractors(None)] == names


@pytest.mark.usefixtures("random_weights_pass_as_official")
def test_weights_that_are_gone_stop_the_stage_with_a_line(chosen, random_weights):
    chosen(load_extractor("auto", random_weights).name)
    assert load_extractor("auto", None).name == FALLBACK
    with pytest.raises(UserError) as error:
        load_reference_extractors(None)
    message = str(error.value)
    assert message.startswith(f"{EXTRACTOR} names inception, which cannot be loaded here")
    assert f"set score.extractor to {FALLBACK} and run 'dvc repro'" in message


def test_without_the_record_of_the_network_a_stage_says_how_to_make_it(chosen):
    with pytest.raises(UserError, match=r"extractor.txt does not exist; run 'dvc repro'"):
        load_reference_extractors(None)
