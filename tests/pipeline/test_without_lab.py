"""Without the packages of the original lab everything else works, but for the bench's race."""

import json
import subprocess
import sys

import yaml

from maskgit.inpainting.registry import DECODERS
from tests.clone import ROOT
from tests.import_graph import graph

WING = ("maskgit.lab", "pipeline.lab")
BENCH = "pipeline.bench."  # its race may be missing
# Python that finds no package of the wing, whether it is there or not
ABSENT = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in {WING}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""
IMPORT_ALL = """
import importlib, json
missing = {}
for name in json.loads(sys.argv[1]):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing[name] = error.name
print(json.dumps(missing))
"""
LOAD = """
from maskgit import load
from pipeline.plumbing.params import load_params
assert "lab" not in load_params().inpaint.model_dump()
assert "lab" not in load(sys.argv[1]).config.decoding.model_dump()
"""


def without_the_wing(code, *arguments, **options):
    command = [sys.executable, "-c", ABSENT + code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, **options)


def test_every_module_but_those_of_the_race_is_imported_without_the_lab():
    names = [
        name
        for name in sorted(graph().modules)
        if not name.startswith(WING) and not name.endswith("__main__")
    ]
    done = without_the_wing(IMPORT_ALL, json.dumps(names), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    missing = json.loads(done.stdout.splitlines()[-1])  # also what an optional package takes along
    lost = [name for name, what in missing.items() if what.startswith(("maskgit", "pipeline"))]
    assert set(lost) <= {f"{BENCH}{name}" for name in ("growth", "run", "steps")}


def test_parameters_and_shipped_models_load_without_the_lab(tmp_path):
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["inpaint"] = {
        key: value for key, value in values["inpaint"].items() if not isinstance(value, dict)
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    (tmp_path / "presets.yaml").write_bytes((ROOT / "presets.yaml").read_bytes())
    options = {"cwd": tmp_path, "env": {"PYTHONPATH": str(ROOT)}}
    done = without_the_wing(LOAD, str(ROOT / "weights"), **options)
    assert done.returncode == 0, done.stderr


def test_every_decoder_that_is_registered_can_be_loaded():
    for entry in DECODERS.values():
        assert isinstance(entry.load(), type)
