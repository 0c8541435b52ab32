"""Every stage compares images with the network that stage reference used."""

import pytest

from maskgit.scoring import features
from pipeline.plumbing.errors import UserError
from pipeline.reporting.extractor import EXTRACTOR, load_extractor, load_reference_extractor


@pytest.fixture
def chosen(tmp_path, monkeypatch):
    """Writes the choice of stage reference, in a project where no weights can be found."""

    def offline(target):
        raise OSError("no network")

    def choose(kind):
        EXTRACTOR.parent.mkdir(parents=True)
        EXTRACTOR.write_text(f"{kind}\n")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr(features, "_download_fid_weights", offline)
    return choose


@pytest.mark.usefixtures("random_weights_pass_as_official")
def test_weights_that_came_later_do_not_change_the_network(chosen, random_weights):
    chosen(load_extractor("auto", None).name)
    assert load_extractor("auto", random_weights).name == "inception"
    assert load_reference_extractor(random_weights).name == "efficientnet_lite0"


@pytest.mark.usefixtures("random_weights_pass_as_official")
def test_weights_that_are_gone_stop_the_stage_with_a_line(chosen, random_weights):
    chosen(load_extractor("auto", random_weights).name)
    assert load_extractor("auto", None).name == "efficientnet_lite0"
    with pytest.raises(UserError) as error:
        load_reference_extractor(None)
    message = str(error.value)
    assert message.startswith(f"{EXTRACTOR} names inception, which cannot be loaded here")
    assert "set score.extractor to efficientnet_lite0 and run 'dvc repro'" in message


def test_without_the_record_of_the_network_a_stage_says_how_to_make_it(chosen):
    with pytest.raises(UserError, match=r"extractor.txt does not exist; run 'dvc repro'"):
        load_reference_extractor(None)
