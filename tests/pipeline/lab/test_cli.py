"""Photos are filled by the lab's decoder, if a model folder says so."""

from tests.pipeline import test_cli
from tests.pipeline.test_cli import hole, picture, run, tuned

project = test_cli.project


def test_sweet_spots_outside_of_the_labs_run_are_named(project):
    picture(project / "a.png")
    hole(project / "hole.png")
    arguments = ("inpaint", "a.png", "--mask", "hole.png", "--out", "out.png", "--iterations")
    with tuned(decoder="lab"):
        assert run(*arguments, "11").exit_code == 0
        assert "should be less than lab.total (12)" in str(run(*arguments, "12").exception)
