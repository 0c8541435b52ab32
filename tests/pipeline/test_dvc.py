"""The whole pipeline runs, and what changes costs what it touches: a tiny one, in a clone."""

import json
import re
import subprocess
import sys
from collections import Counter
from itertools import combinations, product
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from PIL import Image

from maskgit import load
from maskgit.scoring.baselines import BOUNDS
from maskgit.scoring.columns import with_ends
from maskgit.scoring.score import Better, Scope
from maskgit.scoring.scores import DECIDES, SCORES, column_of, score_columns
from pipeline.plumbing.params import MEAN, ONE_PASS, load_params
from pipeline.plumbing.places import results_folder
from pipeline.reporting.comparisons import label
from pipeline.reporting.extractor import EXTRACTOR, load_extractor
from pipeline.reporting.pictures import HOLE_COLOUR
from pipeline.stages import report
from tests.pictures import colours, cycle, read, tiles
from tests.stages import runs


@pytest.fixture(scope="module")
def clone(finished_clone, tmp_path_factory):
    return finished_clone.copy(tmp_path_factory.mktemp("clone") / "copy")


@pytest.fixture
def changed(clone):
    """The clone, which afterwards is as it was."""
    yield clone
    clone.run("git", "checkout", "-q", "--force", "main")
    clone.run("dvc", "checkout", "-q", "dvc.yaml")


@pytest.fixture(scope="module")
def params(finished_clone):
    return load_params(finished_clone.folder)


@pytest.fixture(scope="module")
def table(finished_clone):
    return pd.read_csv(finished_clone.folder / "reports/scores.csv")


@pytest.fixture(scope="module")
def task(finished_clone, params):
    """Images and holes of the split that is filled."""
    prepared = finished_clone.folder / "data/prepared"
    names = params.inpaint.split, f"{params.inpaint.split}_holes"
    return [np.load(prepared / f"{name}.npy") for name in names]


def settings(params):
    """What is compared: every schedule at every number of iterations."""
    return [
        (schedule, iterations)
        for schedule in report.schedules(params)
        for iterations in params.inpaint.plan(schedule)[0]
    ]


def keys(rows):
    """Schedules and iterations; NaN where there are none."""
    return [(name, None if pd.isna(n) else int(n)) for name, n in rows.to_numpy()]


def test_the_first_run_runs_every_stage(clone, params):
    assert clone.stages_run(clone.output) == runs(params.gamma)


def test_the_table_has_every_setting_then_one_pass_then_what_they_are_held_against(table, params):
    others = [(name, None) for name in (*params.score.baselines, *BOUNDS)]
    assert keys(table[["schedule", "iterations"]]) == [
        *settings(params),
        (ONE_PASS, 1),
        (MEAN, 1),
        *others,
    ]


def test_every_row_is_of_all_images(table, task):
    assert set(table["n"]) == {len(task[0])}


def test_every_score_has_a_column_but_for_the_one_whose_weights_are_not_given(table):
    columns = score_columns(table.columns)
    assert [each.score for each in columns] == [each for each in SCORES if each.name != "lpips"]


def test_only_true_images_go_without_scores_in_the_hole(table):
    for column in score_columns(table.columns):
        if column.score.better is not Better.NEITHER:
            missing = set(table.loc[table[column.name].isna(), "schedule"])
            assert missing == (set() if column.score.scope is Scope.SET else {"true_images"})


def test_diversity_is_that_of_several_fills(table, params):
    found = score_columns(table.columns)
    (diversity,) = [each.name for each in found if each.score.better is Better.NEITHER]
    scored = table.dropna(subset=diversity)
    several = params.inpaint.fills > 1
    assert keys(scored[["schedule", "iterations"]]) == (settings(params) if several else [])


def test_every_score_lies_in_its_interval(table):
    for column in score_columns(table.columns):
        score, low, high = with_ends(column.name)
        rows = table.dropna(subset=score)
        assert rows[score].between(rows[low], rows[high]).all(), score


def test_a_score_is_the_mean_over_the_images(clone, table, params):
    names = [column.name for column in score_columns(table.columns)]
    rows = table.set_index(["schedule", "iterations"])
    for schedule in report.schedules(params):
        images = pd.read_csv(clone.folder / f"outputs/scores/{schedule}/images.csv")
        for iterations, group in images.groupby("iterations"):
            expected = rows.loc[(schedule, iterations), names].astype(float)
            np.testing.assert_allclose(group[names].mean(), expected, rtol=1e-6, atol=1e-9)


def test_the_headline_is_the_row_that_the_parameters_name(clone, table, params):
    chosen = {"gamma": params.gamma, "iterations": params.report.iterations}
    metrics, row = (
        clone.metrics(),
        table.set_index(["schedule", "iterations"]).loc[*chosen.values()],
    )
    assert chosen.items() <= metrics.items()
    for column in score_columns(table.columns):
        for name in with_ends(column.name):
            assert metrics[name] == pytest.approx(row[name]), name


def test_the_headline_has_the_distances_of_its_bounds(clone, table):
    rows = table.set_index("schedule")
    distances = [each.name for each in score_columns(table.columns) if each.score.is_distance]
    for name, bound in product(distances, BOUNDS):
        assert clone.metrics()[f"{name}_{bound}"] == pytest.approx(rows.loc[bound, name])


def test_the_network_of_the_features_is_on_record_for_the_stages_that_score(clone, table):
    used = (clone.folder / EXTRACTOR).read_text().split()
    for kind in used:
        assert DECIDES.column(load_extractor(kind, None)).name in table
    assert column_of(DECIDES, table).name == DECIDES.network_column(used[0]).name


def fills(clone, schedule, iterations, variant=0):
    folder = clone.folder / f"outputs/inpaint/{schedule}/{iterations}" / results_folder(variant)
    return np.stack([read(path) for path in sorted(folder.iterdir())])


def test_every_fill_leaves_the_known_pixels_as_they_were(clone, params, task):
    images, holes = task
    for schedule in (*report.schedules(params), ONE_PASS, MEAN):
        counts, variants = params.inpaint.plan(schedule)
        for iterations, variant in product(counts, range(variants)):
            filled = fills(clone, schedule, iterations, variant)
            assert np.array_equal(filled[~holes], images[~holes])


def test_fills_of_a_hole_differ(clone, params, task):
    gamma, holes = params.gamma, task[1]
    first, second = (fills(clone, gamma, params.report.iterations, k) for k in range(2))
    assert (first != second).any(axis=3)[holes].mean() > 0.1


def pictures(clone, params, kind):
    """The pictures of one kind that the headline's decoding left, step by step."""
    folder = clone.folder / f"outputs/inpaint/{params.gamma}/{params.report.iterations}" / kind
    names = [f"test_{step}.png" for step in range(params.report.iterations)]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    return [read(folder / name) for name in names]


def test_with_every_step_fewer_tokens_are_pictured_as_hidden_and_none_at_the_end(clone, params):
    shares = [(picture == 255).mean() for picture in pictures(clone, params, "mask_scheduling")]
    gaps = shares.pop()  # white, too
    assert shares == sorted(shares, reverse=True) and shares[-1] > gaps


def test_the_last_picture_of_a_decoding_shows_the_fill(clone, params):
    last = pictures(clone, params, "imga")[-1]
    for image, left in ((0, 0), (1, 66)):
        shown = last[:64, left : left + 64]
        assert np.array_equal(shown, fills(clone, params.gamma, params.report.iterations)[image])


def assert_grid(path, task, rows):
    """A grid shows true images, their holes, a classic fill, and then these rows."""
    count, side = rows[0].shape[:2]
    images, holes = (part[:count] for part in task)
    true, hole, classic, *others = tiles(path, count, side)
    assert np.array_equal(true, images)
    assert np.array_equal(hole, np.where(holes[..., None], HOLE_COLOUR, images))
    assert np.array_equal(classic[~holes], images[~holes])
    assert (classic[holes] != images[holes]).any()
    assert len(others) == len(rows) and all(map(np.array_equal, others, rows))


def test_the_report_shows_the_fills_of_every_schedule(clone, params, task):
    count, steps = params.report.grid, params.report.iterations
    rows = [fills(clone, schedule, steps)[:count] for schedule in report.schedules(params)]
    rows.append(fills(clone, MEAN, 1)[:count])
    assert_grid(clone.folder / "reports/summary/schedules.png", task, rows)


def test_the_report_shows_the_fills_of_every_number_of_iterations(clone, params, task):
    counts = params.inpaint.iterations
    rows = [fills(clone, params.gamma, count)[: params.report.grid] for count in counts]
    assert_grid(clone.folder / "reports/summary/iterations.png", task, rows)


def test_the_model_folder_shows_what_it_fills(clone, params, task):
    row = fills(clone, params.gamma, params.report.iterations)[: params.report.grid]
    assert_grid(clone.folder / "outputs/model/grid.png", task, [row])


def test_a_grid_is_drawn_of_the_folders_that_one_names(clone, params, task):
    folder = clone.folder / f"outputs/inpaint/linear/{params.report.iterations}/test_results"
    row = fills(clone, "linear", params.report.iterations)[:3]
    command = (sys.executable, "-m", "pipeline", "grid", "grid.png")
    clone.run(*command, f"ours={folder}", "--count", "3")
    assert_grid(clone.folder / "grid.png", task, [row])


def test_plots_of_schedules_have_a_line_for_each(clone, params):
    lines = cycle(len(report.schedules(params)))
    for name in ("mask_schedules", "scores"):
        assert colours(clone.folder / f"reports/summary/{name}.png") >= lines


def test_plots_of_losses_have_a_line(clone):
    for name in ("loss_tokenizer", "loss_transformer"):
        assert colours(clone.folder / f"reports/summary/{name}.png") >= cycle(1)


def test_the_answer_is_printed_below_the_differences(clone):
    printed = clone.run(sys.executable, "-m", "pipeline", "scores")
    differences, answer = printed.index("cosine 3 less square 3"), clone.metrics()["answer"]
    assert answer.startswith("Answer: gamma=")
    assert differences < printed.index(answer)


def test_seconds_are_shown_beside_the_steps_and_change_no_file_of_the_report(clone, table, params):
    printed = clone.run(sys.executable, "-m", "pipeline", "table").splitlines()
    assert printed[0].split()[:5] == ["schedule", "iterations", "steps", "seconds", "n"]
    rows = [line.split() for line in printed[1 : printed.index("")]]
    for schedule, iterations in settings(params):
        (row,) = [row for row in rows if row[:2] == [schedule, str(iterations)]]
        assert float(row[3]) > 0
    assert "seconds" not in table
    assert "seconds" not in (clone.folder / "dvc.lock").read_text()
    _, (*_, report) = clone.reports()
    assert report.data.metrics["seconds"] > 0


@pytest.mark.parametrize("name", ["buckets", "kinds"])
def test_every_image_is_in_one_bucket(clone, task, name):
    buckets = pd.read_csv(clone.folder / f"reports/{name}.csv")
    counted = buckets.groupby(["schedule", "iterations"], dropna=False)["n"].sum()
    assert set(counted) == {len(task[0])}


def test_kinds_of_holes_are_told_apart(clone, params, task):
    kinds = pd.read_csv(clone.folder / "reports/kinds.csv")
    drawn = Counter(params.data.holes[i % len(params.data.holes)] for i in range(len(task[0])))
    assert len(drawn) > 1
    assert kinds.groupby("hole_kind")["n"].unique().to_dict() == {k: [n] for k, n in drawn.items()}


def test_each_two_settings_are_compared_and_each_with_every_other_fill_in_every_score(
    clone, table, params
):
    names = [label(*setting) for setting in settings(params)]
    others = [label(ONE_PASS, 1), label(MEAN, 1), *params.score.baselines]
    pairs = {*combinations(names, 2), *product(names, others)}
    differences = pd.read_csv(clone.folder / "reports/differences.csv")
    found = differences[["first", "second", "score"]].itertuples(index=False, name=None)
    scores = [c.name for c in score_columns(table.columns) if c.score.better is not Better.NEITHER]
    assert Counter((frozenset((a, b)), score) for a, b, score in found) == Counter(
        (frozenset(pair), score) for pair, score in product(pairs, scores)
    )


def test_masks_of_the_test_images_are_their_holes(clone, task):
    masks = sorted((clone.folder / "data/prepared/test_holes").iterdir())
    assert np.array_equal(np.stack([read(mask) > 0 for mask in masks]), task[1])


def test_the_model_card_has_the_headline_and_the_answer(clone, params):
    card = (clone.folder / "outputs/model/README.md").read_text()
    assert f"| {label(params.gamma, params.report.iterations)} |" in card
    assert clone.metrics()["answer"] in card


def test_the_model_folder_loads_and_knows_what_it_was_trained_on(clone, params):
    assert load(clone.folder / "outputs/model").config.trained_on.source == params.data.source


def test_every_run_is_in_mlflow_and_the_report_knows_them(clone):
    client, (*_, report) = clone.reports()  # the first; other tests add theirs
    assert report.data.params["train.dim"] == "32" and report.data.params["gamma"] == "cosine"
    assert report.data.metrics["psnr_hole"] == pytest.approx(clone.metrics()["psnr_hole"])
    note = report.data.tags["mlflow.note.content"]
    links = dict(re.findall(r"^- (\S+): \[.*\]\(.*/runs/(\w+)\)$", note, re.MULTILINE))
    assert len(links) == 6 + 10 and note.startswith("Answer: gamma=")
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


def test_the_report_run_is_the_whole_experiment(clone, task):
    client, (*_, report) = clone.reports()
    run = report.info.run_id
    assert report.data.tags["n"] == str(len(task[0]))
    assert not {"n", "iterations"} & report.data.metrics.keys()
    assert report.info.run_name == "tiny" and "interval/psnr_hole_low" in report.data.metrics
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
    """The exit code of `maskgit reconcile`, its lines, and its error; libraries may warn, too."""
    result = subprocess.run(
        [sys.executable, "-m", "pipeline", "reconcile"],
        cwd=clone.folder,
        env=clone.environment(),
        capture_output=True,
        text=True,
    )
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    return result.returncode, result.stdout.splitlines() + errors


def test_reconcile_finds_the_run_behind_every_stage(clone):
    code, (header, *rows) = reconcile(clone)
    assert code == 0 and header.split() == ["stage", "run", "id", "started", "status"]
    assert len(rows) == 17 and all("finished" in row for row in rows)
    assert {row.split()[0] for row in rows} == clone.stages_run(clone.output) - {"sources"}

    model = clone.folder / "outputs/transformer/model.safetensors"
    trained = model.read_bytes()
    model.unlink()
    model.write_bytes(trained[:-1] + bytes([trained[-1] ^ 1]))
    code, lines = reconcile(clone)
    (missing,) = [line for line in lines if "MISSING" in line]
    assert missing.startswith("train_transformer ") and "outputs/transformer is modified" in missing
    assert code == 1 and lines[-1].startswith("error: 1 of 17 stages have no run")
    model.write_bytes(trained)


def test_a_forced_repeat_adds_no_run_and_no_version(clone):
    before = [run.info.run_id for run in clone.reports()[1]]
    output = clone.run("dvc", "repro", "--force", "--single-item", "report")
    assert "version 1 stands for the same report" in output
    assert [run.info.run_id for run in clone.reports()[1]] == before


def test_reconcile_makes_from_files_what_mlflow_lacks(finished_clone, tmp_path):
    clone = finished_clone.copy(tmp_path / "copy")  # of its own: other tests add runs to theirs
    client, (*_, report) = clone.reports()
    (experiment,) = [e for e in client.search_experiments() if e.name == "maskgit stages"]
    query = "tags.stage = 'train_transformer' and status = 'FINISHED'"
    (before,) = client.search_runs([experiment.experiment_id], query)
    for run in (before, report):
        client.delete_run(run.info.run_id)
    assert reconcile(clone)[0] == 0
    (made,) = client.search_runs([experiment.experiment_id], query)
    again = clone.reports()[1][0]
    for old, new in ((before, made), (report, again)):
        assert new.info.run_name == old.info.run_name
        assert new.data.params == old.data.params
        assert new.data.metrics == pytest.approx(old.data.metrics, nan_ok=True)
        files = [
            {f.path for f in client.list_artifacts(run.info.run_id) if f.path != "images"}
            for run in (old, new)
        ]
        assert files[1] == files[0] - {"headline_images.json"}


def test_a_second_run_looks_for_changed_files_and_does_nothing_else(clone):
    assert clone.stages_run(clone.run("dvc", "repro")) == {"sources"}


def test_a_schedule_of_the_three_only_changes_the_headline(changed):
    output = changed.run("dvc", "exp", "run", "-S", "gamma=square")
    assert changed.stages_run(output) == {"sources", "report"}
    assert changed.metrics()["gamma"] == "square"


def test_another_quantizer_goes_through_to_the_scores(clone):
    quantizer = ("-S", "vqgan.quantizer=fsq", "-S", "vqgan.codebook_size=256")
    steps = ("-S", "vqgan.steps=60", "-S", "mean_decoder.steps=30")  # enough for its scores
    output = clone.run("dvc", "exp", "run", *quantizer, *steps, "score@cosine", "score@mean")
    touched = {"train_vqgan", "encode", "train_transformer", "train_decoder", "score@mean"}
    assert touched <= clone.stages_run(output)
    codes = np.load(clone.folder / "data/tokens/codebook.npy")
    assert len(codes) == 8 * 6 * 5 and np.load(clone.folder / "data/tokens/train.npy").max() < 240
    classic = pd.read_csv(clone.folder / "outputs/reference/scores.csv").set_index("schedule")
    for name in ("cosine", MEAN):
        filled = pd.read_csv(clone.folder / f"reports/scores/{name}.csv")["psnr_hole"].mean()
        assert filled > classic.loc["mean_colour", "psnr_hole"]
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
    assert newest.info.run_name == "gamma=entropic"
    note = newest.data.tags["mlflow.note.content"]
    assert "- train_vqgan: [" in note  # made by the first run, found by its content
    names = {file.path for file in client.list_artifacts(newest.info.run_id)}
    assert {"scores.png", "schedules.png"} <= names


def test_the_plots_of_dvc_show_schedules_and_losses(clone, params):
    clone.run("dvc", "plots", "show", "-o", "dvc_plots")
    page = (clone.folder / "dvc_plots/index.html").read_text()
    for name in (*report.schedules(params), "val_loss", "reconstruction_loss"):
        assert name in page


COMMENT = "\n# a comment\n"
FILLING = runs("cosine", ["inpaint", "score", "report"])

CHANGES = {  # a file, what is written at its end or in place of what, the stages that it touches
    "serving": ("pipeline/serving/served.py", COMMENT, set()),
    "decoding": ("maskgit/inpainting/decoding.py", COMMENT, FILLING),
    "plots": ("pipeline/reporting/plots.py", COMMENT, {"report"}),
    "grid": ("params.yaml", ("grid: 2", "grid: 1"), {"report"}),
}


@pytest.mark.parametrize(("file", "change", "touched"), CHANGES.values(), ids=CHANGES)
def test_a_change_costs_what_it_touches(changed, file, change, touched):
    path = changed.folder / file
    before = path.read_text()
    after = before + change if isinstance(change, str) else before.replace(*change)
    assert after != before
    path.write_text(after)
    changed.run("dvc", "freeze", "sources")  # else it would force all that is downstream
    would_run = changed.run("dvc", "repro", "--dry", "--force-downstream")
    assert changed.stages_run(would_run) == touched


def test_other_holes_train_no_tokenizer(changed):
    changed.run("dvc", "exp", "run", "-S", "data.holes=box", "prepare")
    would_run = changed.stages_run(changed.run("dvc", "repro", "--dry"))
    assert {"encode", "reference", "inpaint@cosine"} <= would_run  # they read the holes
    assert "train_vqgan" not in would_run


@pytest.fixture(scope="module")
def filled_by_others(finished_clone, tmp_path_factory):
    """A clone with fills by OpenCV (Navier-Stokes), once as PNG and once as JPEG."""
    clone = finished_clone.copy(tmp_path_factory.mktemp("others") / "copy")
    clone.run("maskgit", "task", "data/raw/task")
    given = clone.folder / "data/raw/task"
    for tool, ending in (("stokes", ".png"), ("as_jpeg", ".jpg")):
        (clone.folder / "data/raw" / tool).mkdir()
        for path in (given / "images").iterdir():
            filled = cv2.inpaint(read(path), read(given / "masks" / path.name), 3, cv2.INPAINT_NS)
            Image.fromarray(filled).save(clone.folder / f"data/raw/{tool}/{path.stem}{ending}")
    named = [f"+score.others.{tool}=data/raw/{tool}" for tool in ("stokes", "as_jpeg")]
    clone.output = clone.run("dvc", "exp", "run", "-S", named[0], "-S", named[1])
    return clone


def test_fills_of_other_tools_cost_their_row(filled_by_others):
    ran = filled_by_others.stages_run(filled_by_others.output)
    assert ran - {"sources"} == {"reference", "report"}


def test_fills_of_other_tools_stand_in_every_table(filled_by_others, table):
    reports = filled_by_others.folder / "reports"
    found = pd.read_csv(reports / "scores.csv")
    added = set(found["schedule"]) - set(table["schedule"])
    assert added == {"stokes", "as_jpeg"}
    columns = [
        column.name
        for column in score_columns(found.columns)
        if not column.name.startswith("diversity_")  # of several fills
    ]
    assert found[found["schedule"].isin(added)][columns].notna().all(axis=None)
    differences = pd.read_csv(reports / "differences.csv")
    judged = differences.dropna(subset="verdict")
    assert added <= set(judged["second"]) and added <= set(differences["second"])
    for name in ("buckets", "kinds"):
        assert added <= set(pd.read_csv(reports / f"{name}.csv")["schedule"])
    pd.testing.assert_frame_equal(
        found[~found["schedule"].isin(added)].reset_index(drop=True), table
    )


def test_fills_of_other_tools_stand_in_the_picture_grid(filled_by_others, task, params):
    names, shown = [*report.schedules(params), MEAN], params.report.grid
    side = task[0].shape[1]
    rows = tiles(filled_by_others.folder / "reports/summary/schedules.png", shown, side)
    for row, tool in zip(rows[3 + len(names) :], ("stokes", "as_jpeg"), strict=True):
        fills = filled_by_others.folder / f"outputs/reference/fills/{tool}"
        expected = np.stack([read(fills / f"image_{i:03d}.png") for i in range(shown)])
        assert np.array_equal(row, expected)
        known = ~task[1][:shown]
        assert np.array_equal(expected[known], task[0][:shown][known])


def test_the_tool_that_changed_known_pixels_is_named(filled_by_others):
    assert "warning: score.others.as_jpeg: changed known pixels" in filled_by_others.output
    assert "score.others.stokes: changed" not in filled_by_others.output
    notes = pd.read_csv(filled_by_others.folder / "outputs/reference/others.csv")
    assert dict(zip(notes["method"], notes["note"].notna(), strict=True)) == {
        "stokes": False,
        "as_jpeg": True,
    }


def test_a_fill_that_is_taken_away_stops_the_next_run(filled_by_others, tmp_path):
    clone = filled_by_others.copy(tmp_path / "copy")
    gone = sorted((clone.folder / "data/raw/stokes").iterdir())[0]
    gone.unlink()
    with pytest.raises(AssertionError, match=f"{gone.name} is missing"):
        clone.run("dvc", "repro")


def test_the_first_run_leaves_only_its_record_to_commit(clone):
    made = clone.run("git", "show", "--name-status", "--format=", "HEAD").split()
    assert set(made) == {"A", "dvc.lock", "metrics.json"}
