"""The lab's decoder through the pipeline, in a clone."""

import pandas as pd

from tests.pipeline import test_dvc

clone, changed = test_dvc.clone, test_dvc.changed


def test_the_labs_decoder_trains_nothing_and_fills_by_sweet_spot(changed):
    clone = changed
    lab = ("-S", "inpaint.decoder=lab", "-S", "inpaint.lab.total=4", "-S", "inpaint.split=val")
    output = clone.run("dvc", "exp", "run", *lab, "score@square")
    assert clone.stages_run(output) == {"sources", "reference", "inpaint@square", "score@square"}
    table = pd.read_csv(clone.folder / "reports/scores/square.csv")
    images = len(list((clone.folder / "outputs/inpaint/square/3/test_results").iterdir()))
    assert list(table["steps"]) == [2, 4]  # sweet spots count from 0
    assert list(table["iterations"]) == [1, 3] and (table["n"] == images).all() and images != 32
    assert len(list((clone.folder / "outputs/inpaint/square/3/imga").iterdir())) == 4
