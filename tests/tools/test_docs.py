"""The documentation: links, commands, settings and messages exist; sentences are short."""

import importlib
import os
import re
import shlex
import subprocess
import sys
from itertools import pairwise

import pytest
import typer
import yaml
from antlr4.error.Errors import RecognitionException
from dvc.utils.hydra import to_hydra_overrides
from hydra.errors import HydraException

from maskgit.schedules import NAMES
from pipeline.cli import app
from pipeline.plumbing.params import Params
from tests.clone import ROOT
from tests.wing import needs_lab
from tools.sentences import MOST_MEAN, MOST_WORDS, pages, sentences, words

GUIDES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [*GUIDES, *sorted((ROOT / "docs/research-log").glob("*.md"))]
FILES = {"npy", "csv", "py", "lock", "onnx", "CHOICE"}  # last words of no names of settings


def text(page):
    return page.read_text(encoding="utf-8")


def blocks(page):
    """The code blocks of a page, each as its lines with continued ones joined."""
    for block in re.findall(r"^ *```\w*\n(.*?)^ *```", text(page), re.MULTILINE | re.DOTALL):
        yield re.sub(r"\\\n\s*", " ", block).splitlines()


def command_lines(page):
    return [line.strip() for lines in blocks(page) for line in lines]


def verbs():
    return typer.main.get_command(app).commands


def short(path):
    return str(path.relative_to(ROOT))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site as `make docs` builds it, where any broken link or anchor is an error."""
    folder = tmp_path_factory.mktemp("site")
    quiet = {"NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"}
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    done = subprocess.run(build, cwd=ROOT, env=os.environ | quiet, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@needs_lab
def test_the_site_builds_without_a_warning_and_has_every_page_of_its_contents(site):
    nav = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader=yaml.BaseLoader)["nav"]

    def listed(entry):
        if isinstance(entry, str):
            return [entry]
        parts = entry.values() if isinstance(entry, dict) else entry
        return [page for part in parts for page in listed(part)]

    for page in listed(nav):
        assert (site / page).with_suffix(".html").is_file(), page


def test_generated_pages_name_every_verb_setting_and_preset(site):
    commands = (site / "reference/cli.html").read_text(encoding="utf-8")
    for name, verb in verbs().items():
        assert (f"maskgit {name}" in commands) == (not verb.hidden), name
    settings = (site / "reference/settings.html").read_text(encoding="utf-8")
    for name in setting_names():
        assert f"<code>{name}</code>" in settings, name
    for preset in yaml.safe_load((ROOT / "presets.yaml").read_text()):
        assert f"<code>{preset}</code>" in settings, preset


def setting_names():
    """Every setting of params.yaml by its path, as `-S` takes it."""

    def walk(values, prefix=""):
        for name, value in values.items():
            if isinstance(value, dict) and value:
                yield from walk(value, f"{prefix}{name}.")
            else:
                yield prefix + name

    return list(walk(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))))


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_links_to_files_of_the_repository_lead_somewhere(page):
    generated = ROOT / "docs/reference"
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text(page)):
        path = (page.parent / target).resolve()
        if "://" not in target and generated not in path.parents:
            assert path.exists(), target


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_commands_that_a_page_names_exist_with_their_options(page):
    for line in command_lines(page):
        for verb, rest in re.findall(r"(?:^|&& )maskgit ([a-z]+)((?: [^|&;#]*)?)", line):
            known = verbs()
            assert verb in known, line
            options = {opt for parameter in known[verb].params for opt in parameter.opts}
            for option in re.findall(r"(?<= )--[a-z][a-z-]*", rest):
                assert option in options | {"--help"}, line


@needs_lab
@pytest.mark.parametrize("page", PAGES, ids=short)
def test_settings_that_a_page_names_exist(page):
    names, sections = set(setting_names()), set(Params.model_fields)
    given = re.findall(r"-S '?([\w.]+)=", text(page))
    given += [
        name
        for name in re.findall(r"`(?:-S )?'?([a-z]+\.[a-z_.]+)(?:=[^`]*)?`", text(page))
        if name.split(".")[0] in sections and name.rpartition(".")[2] not in FILES
    ]
    for name in given:
        group = any(other.startswith(f"{name}.") for other in names)
        assert name in names or group or name.rpartition(".")[2].isupper(), name


def set_by(line):
    """The values that DVC takes from a command with -S, by the paths of their settings."""
    words = shlex.split(line, comments=True)
    given = [value for option, value in pairwise(words) if option == "-S"]
    return {each.key_or_group: each.value() for each in to_hydra_overrides(given)}


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_dvc_reads_every_value_that_a_page_sets(page):
    printed = [line for line in command_lines(page) if re.match(r"dvc exp run .*-S ", line)]
    printed += re.findall(r"(?<!`)`(-S [^`]+)`(?!`)", text(page))
    for line in printed:
        assert set_by(line), line


PATHS = re.findall(r"^\| `(.+)` \| `(-S .+)` \|$", text(ROOT / "docs/data.md"), re.MULTILINE)


@pytest.mark.parametrize(("path", "typed"), PATHS)
def test_a_path_that_is_typed_as_the_guide_says_is_that_path(path, typed):
    assert set_by(typed) == {"data.source": path}
    plain = re.fullmatch(r"[\w/.+-]+", path, re.ASCII)
    try:
        bare = set_by(f"-S {shlex.quote(f'data.source={path}')}")
    except (HydraException, RecognitionException):
        bare = {}
    assert (bare == {"data.source": path}) == bool(plain)


@pytest.mark.parametrize("page", GUIDES, ids=short)
def test_presets_schedules_and_make_targets_that_a_page_names_exist(page):
    presets = yaml.safe_load((ROOT / "presets.yaml").read_text())
    assert set(re.findall(r"-S preset=(\w+)", text(page))) <= set(presets)
    gammas = {g for group in re.findall(r"-S gamma=([\w,]+)", text(page)) for g in group.split(",")}
    added = re.findall(r'"(\w+)": \1,', text(page))  # by the page's own example
    assert gammas <= {*NAMES, *added}
    targets = set(re.findall(r"^([\w$/().]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in command_lines(page):
        for target in re.findall(r"^make (?:PYTHON=\S+ )?([\w./]+)", line):
            assert target in targets | {".venv/bin/.installed", ".venv/bin/.demo"}, line


@needs_lab
@pytest.mark.parametrize("tool", sorted(path.stem for path in (ROOT / "tools").glob("*.py")))
def test_every_tool_can_be_imported(tool):
    importlib.import_module(f"tools.{tool}")


def test_messages_of_troubleshooting_are_messages_of_the_code():
    code = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("maskgit", "pipeline", "Makefile")
        for path in ([ROOT / folder] if folder == "Makefile" else (ROOT / folder).rglob("*.py"))
    )
    code = re.sub(r'"\s*\n\s*f?"', "", code).lower()  # texts that go over several lines
    for line in text(ROOT / "docs/troubleshooting.md").splitlines():
        cell = line.split("|")[1] if line.startswith("| `") else ""
        foreign = "(from " in cell or "command not found" in cell or "already in use" in cell
        for message in [] if foreign else re.findall(r"`([^`]+)`", cell):
            for part in message.lower().split("..."):
                plain = part.strip().removesuffix(".")  # the page ends its messages with a dot
                assert len(plain) < 4 or plain in code, message


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_sentences_are_short(page):
    assert words(page.longest) <= MOST_WORDS, page.longest
    assert page.mean < MOST_MEAN


def test_sentences_are_found_without_code_tables_and_links():
    page = (
        "# Head\n\nOne `a b c`. Two [three](x.md) four!\n\n| a | b |\n\n```\nno\n```\n- five\n- six"
    )
    assert list(sentences(page)) == ["One `a b c`.", "Two three four!", "five", "six"]
    assert [words(sentence) for sentence in sentences(page)] == [2, 3, 1, 1]


def test_no_page_names_a_path_of_a_machine():
    for page in PAGES:
        assert not re.search(r"/(work|root|home)/", text(page)), page
