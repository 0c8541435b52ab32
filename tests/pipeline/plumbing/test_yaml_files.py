"""Our reader of YAML and DVC's say the same, so that a parameter has one value."""

import pytest
import yaml
from dvc.utils.serialize import dumps_yaml, loads_yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.plumbing.yaml_files import read_yaml
from tests.clone import ROOT


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("yaml")


def read(folder, text):
    (folder / "params.yaml").write_text(text)
    return read_yaml(folder / "params.yaml")


def same(ours, theirs):
    """Equal values of equal types, NaN included."""
    return repr(ours) == repr(theirs)


@pytest.mark.parametrize("name", ["params.yaml", "presets.yaml"])
def test_the_projects_own_files(name):
    assert same(read_yaml(ROOT / name), loads_yaml((ROOT / name).read_text()))


WORDS = ["2e-3", "1e-05", "1.5e+3", "1E5", ".5", "-.5e-3", ".5e3", "1.", "+1", "-0", "010", "0o17"]
WORDS += ["0x1f", "0b101", "1_000", "1:30", "1:30.5", "yes", "no", "on", "off", "y", "n", "True"]
WORDS += ["false", "TRUE", "tRue", "null", "~", "Null", "", ".inf", "-.INF", ".nan", "inf", "nan"]
WORDS += ["preset", "cosine", "[1, 2e-3, yes]", "{a: 010, b: off}", "'2e-3'", '"yes"', "1e", "e5"]


@pytest.mark.parametrize("word", WORDS)
def test_words_and_numbers(folder, word):
    text = f"key: {word}\n"
    assert same(read(folder, text), loads_yaml(text))


def test_what_the_two_standards_read_differently_is_read_by_the_newer_one(folder):
    text = "a: 2e-3\nb: yes\nc: 010\nd: 1:30\n"
    assert read(folder, text) == {"a": 0.002, "b": "yes", "c": 10, "d": "1:30"}
    assert yaml.safe_load(text) == {"a": "2e-3", "b": True, "c": 8, "d": 90}


@given(st.from_regex(r"[-+]?[0-9._]{1,6}([eE][-+]?[0-9]{1,2})?", fullmatch=True))
def test_anything_like_a_number(folder, word):
    text = f"key: {word}\n"
    try:
        theirs = loads_yaml(text)
    except ValueError:  # such as "_", which its pattern takes for a number
        return
    assert same(read(folder, text), theirs)


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text("aeyn.:#_ 0123456789-")


@given(st.dictionaries(st.sampled_from("abc"), values | st.lists(values, max_size=3)))
def test_what_dvc_writes_when_a_value_is_set(folder, content):
    text = dumps_yaml({"section": content})
    assert same(read(folder, text), loads_yaml(text))


def test_what_was_read_may_be_changed(folder):
    text = "a: {b: [1, 2]}\n"
    read(folder, text)["a"]["b"].append(3)
    assert read(folder, text) == {"a": {"b": [1, 2]}}
