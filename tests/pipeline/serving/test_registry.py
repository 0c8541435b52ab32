"""The registry: who becomes champion, and the model answering over HTTP as `mlflow` serves it."""

import ast
import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.metadata import packages_distributions
from pathlib import Path

import mlflow
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from PIL import Image
from typer.testing import CliRunner

from maskgit import load
from maskgit.scoring.score import Better
from maskgit.scoring.scores import find
from maskgit.scoring.verdicts import FEWEST
from pipeline.cli import app
from pipeline.plumbing.params import load_params
from pipeline.plumbing.places import MODEL_FOLDER, PREPARED
from pipeline.serving.registry import (
    NAME,
    REQUIREMENTS,
    beats,
    hash_of_test_set,
    register,
    signature,
)
from pipeline.serving.served import Served
from tests.clone import ROOT
from tests.import_graph import closure
from tests.small_models import save_small_models, write_params
from tests.store import project_with_store

N = 40
COMMON = np.random.default_rng(0).normal(12, 30, N)  # by which images differ, whatever the model
NOISE = np.random.default_rng(1).normal(0, 1, N)


def test_the_champion_falls_to_one_that_is_better_on_the_same_images():
    """Though images differ by far more than the models do."""
    assert beats(COMMON - 1 + NOISE, COMMON, Better.LOWER)[0]
    assert not beats(COMMON, COMMON - 1 + NOISE, Better.LOWER)[0]
    assert not beats(COMMON, COMMON, Better.LOWER)[0]
    assert not beats(COMMON - 0.1 + NOISE, COMMON, Better.LOWER)[0]
    assert not beats(COMMON[1:] - 9, COMMON, Better.LOWER)[0]


@pytest.mark.parametrize(
    ("better", "lower_wins", "higher_wins"),
    [(Better.LOWER, True, False), (Better.HIGHER, False, True), (Better.NEITHER, False, False)],
)
def test_the_score_says_which_values_are_better(better, lower_wins, higher_wins):
    assert beats(COMMON - 1 + NOISE, COMMON, better)[0] == lower_wins
    assert beats(COMMON + 1 + NOISE, COMMON, better)[0] == higher_wins


def test_a_few_images_move_no_champion():
    few = slice(0, FEWEST - 1)
    better, why = beats(COMMON[few] - 9, COMMON[few], Better.LOWER)
    assert not better and why == f"verdicts need {FEWEST} images, and there are {FEWEST - 1}"


numbers = st.lists(st.floats(0, 1e6), min_size=FEWEST, max_size=FEWEST + 6)


@given(numbers, numbers)
def test_of_two_models_one_at_most_beats_the_other(a, b):
    first, second = np.array(a), np.array(b)
    for better in Better:
        wins = beats(first, second, better)[0]
        assert not (wins and beats(second, first, better)[0])
        if wins:
            assert better.sign * first.mean() < better.sign * second.mean()


def third_party(files):
    """The packages, by their names for pip, that the files import themselves."""
    names = packages_distributions()
    found = set()
    for file in files:
        for node in ast.walk(ast.parse((ROOT / file).read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) else []
            for module in {module.split(".")[0] for module in modules} - sys.stdlib_module_names:
                found |= {name.lower() for name in names.get(module, [])}
    return found - {"mlflow-skinny", "mlflow-tracing", "maskgit-inpainting"}  # parts, ourselves


def test_the_requirements_are_what_the_models_code_imports():
    assert third_party(closure("pipeline.serving.served")) == set(REQUIREMENTS)


# none of them is what params.yaml says
CHOICES = {"decoder": "halton", "temperature": "2.0", "choice_temperature": "1.5", "seed": "7"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project's folder with small models, as its report registers them; random weights."""
    folder = tmp_path_factory.mktemp("project")
    save_small_models(folder, **CHOICES)
    (folder / PREPARED).mkdir(parents=True)
    for name in ("test", "test_holes"):
        np.save(folder / PREPARED / f"{name}.npy", np.zeros(3))
    with project_with_store(folder):
        yield folder


def add_version(by_image):
    with mlflow.start_run() as run:
        return register(run.info.run_id, load_params(), find("kid"), by_image)


@pytest.fixture(scope="module")
def versions(project):
    """What registering said: a first version, one hardly better, a better one, a worse one."""
    better = COMMON - 1 + NOISE
    return [add_version(scores) for scores in (COMMON, COMMON - 0.1 + NOISE, better, COMMON)]


def test_every_report_is_a_version_and_one_of_them_the_champion(versions):
    client = MlflowClient()
    alias = f"champion-{hash_of_test_set('test')[:8]}-kid"
    assert [line.split(":")[1] for line in versions] == [
        f" version 1 is {alias}",
        " version 2 is no champion, version 1 stays",
        f" version 3 is {alias}",
        " version 4 is no champion, version 3 stays",
    ]
    model = client.get_model_version_by_alias(NAME, alias)
    assert str(model.version) == "3" and model.tags["n"] == str(N)
    assert model.tags["extractor"] == "kid" and model.tags["gamma"] == "cosine"
    assert "scored on 40 images, this one on 39" in add_version(COMMON[1:] - 9)


def test_a_model_of_other_images_is_held_back_by_nobody(versions):
    holes = PREPARED / "test_holes.npy"
    before = holes.read_bytes()
    np.save(holes, np.ones(3))
    assert add_version(COMMON + 100).endswith("it is the first")
    holes.write_bytes(before)


def test_a_version_that_a_fault_left_without_a_decision_gets_it_with_the_next_report(
    versions, monkeypatch
):
    holes = PREPARED / "test_holes.npy"
    before = holes.read_bytes()
    np.save(holes, np.full(3, 2))
    with monkeypatch.context() as patch, mlflow.start_run() as run:

        def no_answer(*_):
            raise MlflowException("the store does not answer")

        patch.setattr(MlflowClient, "set_registered_model_alias", no_answer)
        first = register(run.info.run_id, load_params(), find("kid"), COMMON)
    assert first.endswith("not registered, the store does not answer")
    again = register(run.info.run_id, load_params(), find("kid"), COMMON)
    assert again.endswith("it is the first")
    assert "stands for the same" in register(run.info.run_id, load_params(), find("kid"), COMMON)
    holes.write_bytes(before)


def encoded(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


PIXELS = np.random.default_rng(0).integers(256, size=(50, 90, 3), dtype=np.uint8)
HOLE = np.zeros((50, 90), dtype=np.uint8)
HOLE[10:30, 20:50] = 255


@pytest.fixture(scope="module")
def server(project, versions, tmp_path_factory):
    """The address of `mlflow models serve`, started away from the project and its code."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{project}/mlflow.db",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    environment.pop("PYTHONPATH", None)
    folder = tmp_path_factory.mktemp("elsewhere")
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    command += ["--model-uri", f"models:/{NAME}/3", "--port", str(port), "--workers", "1"]
    log = folder / "log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as process,
    ):
        address = f"http://127.0.0.1:{port}"
        try:
            while process.poll() is None:
                try:
                    urllib.request.urlopen(f"{address}/ping", timeout=5)
                    break
                except OSError:
                    time.sleep(0.2)
            assert process.poll() is None, log.read_text()
            yield address
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def ask(server, image, mask, **params):
    """Status and answer of a request to fill one picture."""
    body = {"dataframe_records": [{"image": image, "mask": mask}], "params": params}
    request = urllib.request.Request(
        f"{server}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def filled(server, **params):
    status, answer = ask(server, encoded(PIXELS), encoded(HOLE), **params)
    assert status == 200
    (prediction,) = answer["predictions"]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(prediction["image"]))))


def test_a_request_is_answered_with_the_hole_filled_and_all_else_as_it_was(server):
    first = filled(server, gamma="square", iterations=2, seed=3)
    known = HOLE == 0
    assert np.array_equal(first[known], PIXELS[known])
    assert (first[~known] != PIXELS[~known]).any(axis=-1).mean() > 0.9
    assert np.array_equal(first, filled(server, gamma="square", iterations=2, seed=3))
    assert not np.array_equal(first, filled(server, gamma="square", iterations=2, seed=4))
    defaults = load_params()
    given = {"gamma": "cosine", "iterations": defaults.report.iterations, "seed": defaults.seed}
    assert np.array_equal(filled(server), filled(server, **given))


def test_an_answer_says_how_much_was_filled_and_what_was_read_otherwise(server):
    pages = io.BytesIO()
    first = Image.fromarray(PIXELS)
    first.save(pages, "TIFF", save_all=True, append_images=[first])
    _, answer = ask(server, base64.b64encode(pages.getvalue()).decode(), encoded(HOLE))
    (prediction,) = answer["predictions"]
    assert prediction["filled"] == "13.3 % of the picture"
    assert prediction["notes"] == "the first of several pages"


def test_the_command_line_fills_as_the_served_model_does(server, project):
    before = Path("params.yaml").read_text()
    write_params(project)  # as they may be today
    Path("photo.png").write_bytes(base64.b64decode(encoded(PIXELS)))
    Path("hole.png").write_bytes(base64.b64decode(encoded(HOLE)))
    arguments = ["inpaint", "photo.png", "--mask", "hole.png", "--out", "filled.png"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    Path("params.yaml").write_text(before)  # for the other tests, in any order
    assert np.array_equal(np.asarray(Image.open("filled.png")), filled(server))


def test_settings_of_a_request_mean_what_they_mean_elsewhere(small_models):
    """MLflow hands over the defaults of the signature for what is left out."""
    served = Served()
    served.fill = load(small_models / MODEL_FOLDER)
    served.fill.config = served.fill.config.changed(
        decoding=served.fill.config.decoding.changed(reading="mean")
    )
    own = served.fill.config.decoding
    defaults = {each.name: each.default for each in signature(own).params.params}
    asked_for = [{}, {"seed": 5}, {"iterations": 3}, {"gamma": "square"}, {"reading": "sample"}]
    asked_for += [{"iterations": own.iterations}, {"gamma": own.gamma}]  # samples, too
    for asked in asked_for:
        wanted = served.fill.decoding(**served.decoding(defaults | asked))
        assert wanted == served.fill.decoding(**asked), asked
    assert served.fill.decoding(**served.decoding(defaults)).reading == "mean"


FAULTS = {
    "missing": ({"mask": None}, "mask: missing"),
    "no base64": ({"image": "?"}, "image: not base64"),
    "no picture": ({"mask": "bm8gcGljdHVyZQ=="}, "mask: not an image"),
    "another size": ({"mask": encoded(HOLE[:8, :9])}, "the mask is 9 x 8, the picture 90 x 50"),
    "no such schedule": ({"gamma": "sine"}, "gamma: should be one of cosine"),
    "no iterations": (
        {"iterations": -1},
        "iterations: input should be greater",
    ),
    "a wrong type": ({"iterations": "many"}, "iterations"),
}


@pytest.mark.parametrize(("change", "message"), FAULTS.values(), ids=FAULTS)
def test_faults_of_a_request_are_named(server, change, message):
    status, answer = ask(server, **{"image": encoded(PIXELS), "mask": encoded(HOLE)} | change)
    assert status == 400 and message in answer["message"] and "Traceback" not in str(answer)
