"""Every pipeline names what can change a stage's result: all of it, nothing else."""

import pytest

from maskgit.schedules import NAMES
from pipeline.plumbing.params import load_params
from pipeline.stages import report, sources
from tests.clone import ROOT
from tests.import_graph import closure, graph
from tests.stages import (
    PIPELINE,
    STAGES,
    code,
    keys,
    named_params,
    named_presets,
    params_from_preset,
    params_read,
)

HARMLESS = ("pipeline.plumbing", "pipeline.tracking", "pipeline.serving")
WEIGHTLESS = {
    "maskgit.checksums",
    "maskgit.schedules",
    "maskgit.validation",
    "maskgit.device",
    "maskgit.ranks",
    "maskgit.feed_forward.settings",
    "maskgit.inpainting.settings",
    "maskgit.mean.settings",
    "maskgit.tokenizer.settings",
    "maskgit.training.settings",
    "maskgit.transformer.settings",
    "maskgit.data.holes",
    "maskgit.scoring.baselines",
    "maskgit.scoring.columns",
    "maskgit.scoring.intervals",
    "maskgit.scoring.networks",
    "maskgit.scoring.verdicts",
}
# What the study chooses itself, whatever params.yaml says
CHOSEN = {
    "study": {
        *("inpaint.decoder", "inpaint.iterations", "inpaint.temperature"),
        *("inpaint.choice_temperature", "inpaint.split", "inpaint.fills", "inpaint.reading"),
        "inpaint.mean_steps",
        "inpaint.batch_size",  # no result depends on it
        "inpaint.lab",  # the study leaves that decoder out
    }
}


def files_behind(stage):
    return closure(f"pipeline.stages.{stage}", stop=HARMLESS)


def lies_under(file, dep):
    return file == dep or file.startswith(f"{dep}/")


@pytest.mark.parametrize("stage", STAGES)
def test_every_module_behind_a_stage_lies_under_a_dep(stage):
    deps = code(stage)
    missing = [f for f in files_behind(stage) if not any(lies_under(f, dep) for dep in deps)]
    assert not missing


@pytest.mark.parametrize("stage", STAGES)
def test_every_dep_has_a_module_that_the_stage_imports(stage):
    files = files_behind(stage)
    unused = [dep for dep in code(stage) if not any(lies_under(file, dep) for file in files)]
    assert not unused


@pytest.mark.parametrize("stage", STAGES)
def test_no_dep_is_code_that_changes_no_result(stage):
    assert not [dep for dep in code(stage) if dep.replace("/", ".").startswith(HARMLESS)]


def test_what_is_no_dep_leads_to_nothing_that_changes_a_result():
    """But for the module that MLflow runs and no stage imports."""
    served = "pipeline.serving.served"
    for module in graph().modules:
        imported = graph().find_modules_directly_imported_by(module)
        if module.startswith(HARMLESS) and module != served:
            beyond = {name for name in imported if not name.startswith(HARMLESS)}
            assert beyond <= WEIGHTLESS, module
        assert served not in imported, module


def test_every_path_that_a_parameter_names_is_a_parameter_of_sources():
    assert set(named_params("sources")) == {*sources.KEYS, "data.follow_links"}


READERS = [stage for stage in STAGES if stage != "sources"]  # it looks its own up by name


def read(stage):
    return params_read(files_behind(stage)) - CHOSEN.get(stage, set())


@pytest.mark.parametrize("stage", [stage for stage in READERS if stage != "report"])
def test_a_stage_that_reads_a_path_depends_on_the_table_of_its_files(stage):
    """But for the report, which says where the images came from and does not read them."""
    tables = {f"{sources.SOURCES}/{key}.csv" for key in sources.KEYS if key in read(stage)}
    named = {dep for dep in STAGES[stage]["deps"] if dep.startswith(f"{sources.SOURCES}/")}
    assert named == tables


@pytest.mark.parametrize("stage", READERS)
def test_every_parameter_that_a_stage_reads_is_named(stage):
    assert read(stage) <= set().union(*map(keys, named_params(stage)))


@pytest.mark.parametrize("stage", READERS)
def test_every_value_that_a_stage_takes_from_the_preset_is_named(stage):
    assert read(stage) & params_from_preset() <= named_presets(stage)


@pytest.mark.parametrize("stage", [stage for stage in READERS if stage != "report"])  # it logs all
def test_a_stage_reads_something_of_every_parameter_that_it_names(stage):
    unread = [entry for entry in named_params(stage) if not keys(entry) & read(stage)]
    assert not unread


def test_the_matrix_has_the_methods_of_the_report():
    gamma = next(name for name in NAMES if name not in STAGES["inpaint"]["matrix"]["schedule"])
    expected = report.scored_methods(load_params(ROOT).changed(gamma=gamma), mean=True)
    for stage in ("inpaint", "score"):
        named = PIPELINE[stage]["matrix"]["schedule"]
        assert [name.replace("${gamma}", gamma) for name in named] == expected


@pytest.mark.parametrize("stage", ["inpaint", "score"])
def test_the_report_depends_on_every_result_of_the_matrix(stage):
    (items,) = PIPELINE[stage]["matrix"].values()
    outs = [
        out.replace("${item.schedule}", item) for out in PIPELINE[stage]["outs"] for item in items
    ]
    assert set(outs) <= set(PIPELINE["report"]["deps"])
