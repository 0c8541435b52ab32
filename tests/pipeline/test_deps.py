"""dvc.yaml names what can change a stage's result: all of it, and nothing else."""

import pytest
import yaml

from maskgit.schedules import NAMES
from pipeline.plumbing.params import ONE_PASS
from tests.clone import ROOT
from tests.import_graph import closure, graph

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
HARMLESS = ("pipeline.plumbing", "pipeline.tracking", "pipeline.serving")
WEIGHTLESS = {
    "maskgit.schedules",
    "maskgit.validation",
    "maskgit.device",
    "maskgit.ranks",
    "maskgit.inpainting.settings",
    "maskgit.tokenizer.settings",
    "maskgit.transformer.settings",
    "maskgit.data.holes",
    "maskgit.scoring.baselines",
    "maskgit.scoring.intervals",
}


def code(stage):
    """The files and folders of code among a stage's deps."""
    return [dep for dep in STAGES[stage]["deps"] if dep.split("/")[0] in ("maskgit", "pipeline")]


def lies_under(file, dep):
    return file == dep or file.startswith(f"{dep}/")


@pytest.mark.parametrize("stage", STAGES)
def test_every_module_behind_a_stage_lies_under_a_dep(stage):
    files = closure(f"pipeline.stages.{stage}", stop=HARMLESS)
    missing = [file for file in files if not any(lies_under(file, dep) for dep in code(stage))]
    assert not missing


@pytest.mark.parametrize("stage", STAGES)
def test_every_dep_has_a_module_that_the_stage_imports(stage):
    files = closure(f"pipeline.stages.{stage}", stop=HARMLESS)
    unused = [dep for dep in code(stage) if not any(lies_under(file, dep) for file in files)]
    assert not unused
    assert not [dep for dep in code(stage) if dep.replace("/", ".").startswith(HARMLESS)]
    assert all((ROOT / dep).exists() for dep in code(stage))


def test_what_is_no_dep_leads_to_nothing_that_changes_a_result():
    """But for the module that MLflow runs and no stage imports."""
    served = "pipeline.serving.served"
    for module in graph().modules:
        imported = graph().find_modules_directly_imported_by(module)
        if module.startswith(HARMLESS) and module != served:
            beyond = {name for name in imported if not name.startswith(HARMLESS)}
            assert beyond <= WEIGHTLESS, module
        assert served not in imported, module


def test_every_schedule_of_the_matrix_exists():
    for stage in ("inpaint", "score"):
        named = [name for name in STAGES[stage]["matrix"]["schedule"] if name != "${gamma}"]
        assert set(named) <= {*NAMES, ONE_PASS}
