"""Every text file of the project is UTF-8, whatever the locale says."""

import ast
import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.clone import ROOT

SOURCES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("maskgit", "pipeline", "tools")
    for path in (ROOT / folder).rglob("*.py")
)


def opens_text(call: ast.Call) -> bool:
    """Whether a call reads or writes text, of a file or of a process."""
    name = ast.unparse(call.func).rpartition(".")[2]
    if name in ("read_text", "write_text"):
        return True
    if name in ("run", "Popen", "check_output"):
        return any(keyword.arg in ("text", "universal_newlines") for keyword in call.keywords)
    if name in ("open", "fdopen", "NamedTemporaryFile", "TemporaryFile"):
        words = [*call.args, *(keyword.value for keyword in call.keywords)]
        modes = [word.value for word in words if isinstance(word, ast.Constant)]
        return any(isinstance(mode, str) and set(mode) <= set("rwaxt+") for mode in modes)
    return False


@pytest.mark.parametrize("source", SOURCES)
def test_whatever_opens_text_names_its_encoding(source):
    calls = [
        node
        for node in ast.walk(ast.parse((ROOT / source).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and opens_text(node)
    ]
    silent = [
        call.lineno for call in calls if not any(key.arg == "encoding" for key in call.keywords)
    ]
    assert not silent


def test_a_locale_without_umlauts_reads_and_writes_them(small_models, tmp_path):
    source, umlaut = small_models / "outputs/model", "geübt mit Kätzchen"
    model = shutil.copytree(source, tmp_path / "modell-ü")
    config = model / "config.json"
    values = json.loads(config.read_text(encoding="utf-8"))
    values["trained_on"]["source"] = umlaut
    config.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    (model / "SHA256SUMS").unlink(missing_ok=True)
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "export", "köpie", "--model", "modell-ü"],
        cwd=tmp_path,
        env=os.environ | plain | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert umlaut in (tmp_path / "köpie/config.json").read_text(encoding="utf-8")
