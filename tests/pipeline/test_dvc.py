"""The whole pipeline runs, and what changes costs what it touches: a tiny one, in a clone."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from PIL import Image

from maskgit import load

THREE = ("cosine", "linear", "square")


@pytest.fixture(scope="module")
def clone(finished_clone, tmp_path_factory):
    return finished_clone.copy(tmp_path_factory.mktemp("clone") / "copy")


def test_the_pipeline_runs_from_images_to_a_table(clone):
    assert clone.stages_run(clone.output) == {
        *(
            "sources",
            "prepare",
            "train_vqgan",
            "encode",
            "train_transformer",
            "reference",
            "report",
        ),
        *(f"{s}@{g}" for s in ("inpaint", "score") for g in (*THREE, "one_pass")),
    }
    table = pd.read_csv(clone.folder / "reports/scores.csv")
    schedules, baselines = table.dropna(subset="iterations"), table[table["iterations"].isna()]
    assert len(schedules) == 3 * 2 + 1
    assert schedules["diversity_hole"].notna().sum() == 3 * 2  # two fills of each hole
    named = ["mean_colour", "telea", "biharmonic", "patchmatch", "tokenizer", "true_images"]
    assert list(baselines["schedule"]) == named
    assert (table["n"] == 32).all()
    scores = [name for name in table.columns[3:-1] if not name.endswith(("_low", "_high"))]
    assert len(scores) == 9 and scores.pop() == "diversity_hole"
    for name in scores:
        rows = table if "_hole" not in name else table[table["schedule"] != "true_images"]
        assert (rows[f"{name}_low"] <= rows[name]).all() and (
            rows[name] <= rows[f"{name}_high"]
        ).all()
    assert clone.metrics()["gamma"] == "cosine" and clone.metrics()["iterations"] == 3
    results = clone.folder / "outputs/inpaint/cosine/3"
    assert len(list((results / "test_results").glob("image_???.png"))) == 32
    for kind in ("mask_scheduling", "imga"):
        names = [path.name for path in sorted((results / kind).iterdir())]
        assert names == ["test_0.png", "test_1.png", "test_2.png"]
    for name in (
        "schedules",
        "iterations",
        "mask_schedules",
        "scores",
        "loss_tokenizer",
        "loss_transformer",
    ):
        assert Image.open(clone.folder / f"reports/summary/{name}.png").width > 200
    printed = clone.run(sys.executable, "-m", "pipeline", "table")
    assert "cosine 3 less square 3" in printed and clone.metrics()["answer"] in printed
    assert clone.metrics()["answer"].startswith("Answer: gamma=")
    cosine = table.iloc[1]
    images = pd.read_csv(clone.folder / "outputs/scores/cosine/images.csv")
    assert len(images) == 2 * 32
    for name in scores:
        column = images.loc[images["iterations"] == 3, name]
        assert column.mean() == pytest.approx(cosine[name])
    buckets = pd.read_csv(clone.folder / "reports/buckets.csv")
    assert buckets.groupby(["schedule", "iterations"], dropna=False)["n"].sum().eq(32).all()
    differences = pd.read_csv(clone.folder / "reports/differences.csv")
    pairs, fills = 6 * 5 // 2, 6 * 5  # of settings; of a setting and another fill
    assert len(differences) == (pairs + fills) * len(scores)
    kinds = pd.read_csv(clone.folder / "reports/kinds.csv")
    assert kinds.groupby("hole_kind")["n"].unique().to_dict() == {"mixture": [16], "thin": [16]}
    masks = sorted((clone.folder / "data/prepared/test_holes").iterdir())
    assert len(masks) == 32 and 0 < np.asarray(Image.open(masks[0])).mean() < 1
    floor = table.set_index("schedule").loc["true_images", table.columns[3]]
    assert clone.metrics()[f"{table.columns[3]}_true_images"] == pytest.approx(floor)
    card = (clone.folder / "outputs/model/README.md").read_text()
    assert "| cosine 3 |" in card and clone.metrics()["answer"] in card
    assert load(clone.folder / "outputs/model").config.trained_on.source == "synthetic"
    assert (clone.folder / "outputs/model/grid.png").is_file()
    row = f"ours 3={results / 'test_results'}"
    clone.run(sys.executable, "-m", "pipeline", "grid", "grid.png", row, "--count", "3")
    assert Image.open(clone.folder / "grid.png").height == 4 * 2 * 64 + 3 * 2 * 2


def test_every_run_is_in_mlflow_and_the_report_knows_them(clone):
    client, (*_, report) = clone.reports()  # the first; other tests add theirs
    assert report.data.params["train.dim"] == "32" and report.data.params["gamma"] == "cosine"
    assert report.data.metrics["psnr_hole"] == pytest.approx(clone.metrics()["psnr_hole"])
    note = report.data.tags["mlflow.note.content"]
    links = dict(re.findall(r"^- (\S+): \[.*\]\(.*/runs/(\w+)\)$", note, re.MULTILINE))
    assert len(links) == 5 + 8 and note.startswith("Answer: gamma=")
    training = client.get_run(links["train_transformer"])
    assert training.info.status == "FINISHED" and training.data.tags["stage"] == "train_transformer"
    for run, context in ((training, "training"), (report, "evaluation")):
        (data,) = client.get_run(run.info.run_id).inputs.dataset_inputs
        assert data.dataset.name == "synthetic" and data.tags[0].value == context
        assert run.data.tags["data_sha256"].startswith(data.dataset.digest)
    assert training.data.tags["mlflow.source.name"] == "pipeline.stages.train_transformer"
    curve = client.get_metric_history(training.info.run_id, "val_loss")
    assert len(curve) == 5
    artifacts = {file.path for file in client.list_artifacts(training.info.run_id)}
    assert artifacts == {"model.safetensors", "history.csv", "uncertainty.csv", "SHA256SUMS"}


def test_the_report_run_is_the_whole_experiment(clone):
    client, (*_, report) = clone.reports()
    run = report.info.run_id
    assert report.data.tags["n"] == "32" and not {"n", "iterations"} & report.data.metrics.keys()
    files = {file.path for file in client.list_artifacts(run)}
    tables = {entry["path"] for entry in json.loads(report.data.tags["mlflow.loggedArtifacts"])}
    names = ("scores", "buckets", "kinds", "differences")
    assert tables == {f"{name}.json" for name in names} and tables <= files
    pictures = [Path(file.path).name for file in client.list_artifacts(run, "images")]
    for key in ("filled so far", "tokens still hidden"):
        steps = {name.split("+")[2] for name in pictures if name.startswith(key)}
        assert steps == {"0", "1", "2"}
    store = f"sqlite:///{clone.folder}/mlflow.db"
    (alias,) = re.findall("version 1 is (champion-.*): it is the first", clone.output)
    champion = MlflowClient(store, store).get_model_version_by_alias("maskgit-inpainting", alias)
    assert champion.run_id == run
    assert float(champion.tags["score"]) == pytest.approx(
        report.data.metrics[champion.tags["extractor"]]
    )


def reconcile(clone):
    """The exit code and the lines that `maskgit reconcile` prints."""
    result = subprocess.run(
        [sys.executable, "-m", "pipeline", "reconcile"],
        cwd=clone.folder,
        env=clone.environment(),
        capture_output=True,
        text=True,
    )
    return result.returncode, (result.stdout + result.stderr).splitlines()


def test_reconcile_finds_the_run_behind_every_stage(clone):
    code, (header, *rows) = reconcile(clone)
    assert code == 0 and header.split() == ["stage", "run", "id", "started", "status"]
    assert len(rows) == 14 and all("finished" in row for row in rows)
    assert {row.split()[0] for row in rows} == clone.stages_run(clone.output) - {"sources"}

    model = clone.folder / "outputs/transformer/model.safetensors"
    trained = model.read_bytes()
    model.unlink()
    model.write_bytes(trained[:-1] + bytes([trained[-1] ^ 1]))
    code, lines = reconcile(clone)
    (missing,) = [line for line in lines if "MISSING" in line]
    assert missing.startswith("train_transformer ") and "outputs/transformer is modified" in missing
    assert code == 1 and lines[-1].startswith("error: 1 of 14 stages have no run")
    model.write_bytes(trained)


def test_a_second_run_looks_for_changed_files_and_does_nothing_else(clone):
    assert clone.stages_run(clone.run("dvc", "repro")) == {"sources"}


def test_a_schedule_of_the_three_only_changes_the_headline(clone):
    output = clone.run("dvc", "exp", "run", "-S", "gamma=square")
    assert clone.stages_run(output) == {"sources", "report"}
    assert clone.metrics()["gamma"] == "square"
    clone.run("git", "checkout", "-q", "--force", "main")
    clone.run("dvc", "checkout", "-q")


def test_another_quantizer_goes_through_the_whole_pipeline(clone):
    quantizer = ("-S", "vqgan.quantizer=fsq", "-S", "vqgan.codebook_size=256")
    output = clone.run("dvc", "exp", "run", *quantizer)
    assert {"train_vqgan", "encode", "train_transformer", "report"} <= clone.stages_run(output)
    codes = np.load(clone.folder / "data/tokens/codebook.npy")
    assert len(codes) == 8 * 6 * 5 and np.load(clone.folder / "data/tokens/train.npy").max() < 240
    table = pd.read_csv(clone.folder / "reports/scores.csv").set_index("schedule")
    filled = table.loc["cosine", "psnr_hole"].mean()
    assert filled > table.loc["mean_colour", "psnr_hole"]
    load(clone.folder / "outputs/model")
    clone.run("git", "checkout", "-q", "--force", "main")
    clone.run("dvc", "checkout", "-q")


def test_another_schedule_in_a_temporary_copy_adds_two_stages_to_the_same_store(clone):
    before = len(clone.reports()[1])
    output = clone.run("dvc", "exp", "run", "--temp", "-S", "gamma=entropic")
    added = {"inpaint@entropic", "score@entropic"}
    assert clone.stages_run(output) == {"sources", *added, "report"}
    client, (newest, *others) = clone.reports()
    assert len(others) == before
    assert newest.data.params["gamma"] == "entropic"
    note = newest.data.tags["mlflow.note.content"]
    assert "- train_vqgan: [" in note  # made by the first run, found by its content
    names = {file.path for file in client.list_artifacts(newest.info.run_id)}
    assert {"scores.png", "schedules.png"} <= names


def test_the_plots_of_dvc_show_the_schedules(clone):
    clone.run("dvc", "plots", "show", "-o", "dvc_plots")
    page = (clone.folder / "dvc_plots/index.html").read_text()
    for name in ("cosine", "linear", "square", "val_loss", "reconstruction_loss"):
        assert name in page


COMMENT = "\n# a comment\n"
FILLING = {
    "report",
    *(f"{stage}@{name}" for stage in ("inpaint", "score") for name in (*THREE, "one_pass")),
}

CHANGES = {  # a file, what is written at its end or in place of what, the stages that it touches
    "tracking": ("pipeline/tracking/stage.py", COMMENT, set()),
    "plumbing": ("pipeline/plumbing/files.py", COMMENT, set()),
    "serving": ("pipeline/serving/served.py", COMMENT, set()),
    "decoding": ("maskgit/inpainting/decoding.py", COMMENT, FILLING),
    "plots": ("pipeline/reporting/plots.py", COMMENT, {"report"}),
    "grid": ("params.yaml", ("grid: 2", "grid: 1"), {"report"}),
}


@pytest.mark.parametrize(("file", "change", "touched"), CHANGES.values(), ids=CHANGES)
def test_a_change_costs_what_it_touches(clone, file, change, touched):
    path = clone.folder / file
    before = path.read_text()
    after = before + change if isinstance(change, str) else before.replace(*change)
    assert after != before
    path.write_text(after)
    clone.run("dvc", "freeze", "sources")  # else it would force all that is downstream
    would_run = clone.run("dvc", "repro", "--dry", "--force-downstream")
    clone.run("dvc", "unfreeze", "sources")
    path.write_text(before)
    assert clone.stages_run(would_run) == touched


def test_other_holes_train_no_tokenizer(clone):
    clone.run("dvc", "exp", "run", "-S", "data.holes=box", "prepare")
    would_run = clone.stages_run(clone.run("dvc", "repro", "--dry"))
    assert {"encode", "reference", "inpaint@cosine"} <= would_run  # they read the holes
    assert "train_vqgan" not in would_run
    clone.run("git", "checkout", "-q", "--force", "main")
    clone.run("dvc", "checkout", "-q")


def test_the_first_run_leaves_only_its_record_to_commit(clone):
    made = clone.run("git", "show", "--name-status", "--format=", "HEAD").split()
    assert set(made) == {"A", "dvc.lock", "metrics.json"}
