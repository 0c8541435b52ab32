"""MLflow's failures stop no stage, and MLflow gets every record once, whatever happens."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from uuid import uuid4

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
from filelock import FileLock
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from pipeline.plumbing.hashing import content_hash
from pipeline.plumbing.places import PREPARED
from pipeline.tracking import delivery
from pipeline.tracking.delivery import Mirror, is_final, reason, runs_waiting, send_ended
from pipeline.tracking.spool import Spool, spool_folder
from pipeline.tracking.stage import stage_run
from pipeline.tracking.store import ENTRY_TAG, find_experiment, open_store, store_uri
from tests.clone import ROOT
from tests.store import project_with_store

# logs a step for each line that it reads; the same parameters twice would be one run
SCRIPT = """
import os
import sys
from pathlib import Path
from pipeline.tracking.stage import stage_run

with stage_run("train", {"process": os.getpid()}, Path("made"), key=sys.argv[1] or None) as run:
    print(run.key, flush=True)
    for line in sys.stdin:
        run.log_metrics({"loss": 1 / (1 + int(line))}, int(line))
        print(line, end="", flush=True)
    run.log_artifact(Path("made"))
"""


# waits for a line, then logs all at once
WRITER = """
import sys
from pathlib import Path
import pandas as pd
from pipeline.tracking.stage import stage_run

print(flush=True)
sys.stdin.readline()
with stage_run("write", {"number": sys.argv[1]}, Path("made")) as run:
    for step in range(300):
        run.log_metrics({"loss": 1.0, "rate": 0.5}, step)
    run.log_table(pd.DataFrame({"a": [1]}), "table.json")
    run.log_artifact(Path("made/model"))
sys.stderr.write(run.key)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with project_with_store(tmp_path_factory.mktemp("project")) as folder:
        return folder


@pytest.fixture
def project(folder, monkeypatch):
    """An empty project; the store is that of all tests, since it takes seconds to make one."""
    monkeypatch.chdir(folder)
    for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name in (".maskgit", "made", "data"):
        shutil.rmtree(name, ignore_errors=True)
    Path("made").mkdir()
    Path("made/model").write_text(uuid4().hex)  # no test's run is the same as another's
    return folder


class Server:
    """A real `mlflow server`, to be stopped and started again at the same address."""

    def __init__(self, folder):
        self.folder, self.process = folder, None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"

    def start(self):
        """It answers when this returns, whether it ran before or not."""
        if self.process is not None:
            return
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(self.port)]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/server.db"]
        command += ["--artifacts-destination", str(self.folder / "artifacts"), "--workers", "1"]
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        for _ in range(1200):
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=1)
                return
            except OSError:
                assert self.process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.1)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self):
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Tests start and stop it."""
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@contextlib.contextmanager
def hanging_server():
    """Accepts connections and never answers."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(50)
        yield f"http://127.0.0.1:{deaf.getsockname()[1]}"


class Training:
    """A process that logs the steps that it is told to."""

    def __init__(self, key="", **environment):
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, key],
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.key = self.process.stdout.readline().strip()

    def log(self, *steps):
        for step in steps:
            self.process.stdin.write(f"{step}\n")
            self.process.stdin.flush()
            assert self.process.stdout.readline() == f"{step}\n"

    def finish(self):
        """Returns what it said at its end; a tracker that waits for ever fails here."""
        output, _ = self.process.communicate(timeout=300)
        assert self.process.returncode == 0
        return output

    def kill(self):
        self.process.kill()
        self.process.communicate()


def run_of(key, uri=None):
    """The client and the one run with this key."""
    store = open_store(uri)
    (run,) = store.runs(f"tags.key = '{key}'")
    return store.client, run


def found(key):
    return open_store().runs(f"tags.key = '{key}'")


def steps(client, run, metric="loss"):
    return [point.step for point in client.get_metric_history(run.info.run_id, metric)]


def run_a_stage():
    """Of its own each time: the same one would add no run."""
    with stage_run("next", {"number": uuid4().hex}, Path("made")) as run:
        pass
    return run


def wait_until(true):
    """For another process; a test that waits in vain fails."""
    end = time.monotonic() + 300
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


# A run


def test_a_run_is_whole(project):
    table = pd.DataFrame({"schedule": ["cosine", "linear"], "psnr": [1.5, None]})
    with stage_run("demo", {"a": {"b": 1}}, Path("made"), "cosine") as log:
        log.log_metrics({"psnr": 2.5, "nothing": float("nan")})
        log.log_metrics({"loss": 3}, step=7)
        log.log_artifact(Path("made/model"), "deep/down")
        log.log_artifact(Path("made"))
        log.log_table(table, "scores.json")
        log.log_table(table, "scores.json")
        log.set_note("# a note", {})
    client, run = run_of(log.key)
    assert log.run_id == run.info.run_id
    assert run.info.status == "FINISHED" and run.info.run_name == "demo@cosine"
    assert run.data.params == {"a.b": "1"} and steps(client, run) == [7]
    assert run.data.metrics["psnr"] == 2.5 and np.isnan(run.data.metrics["nothing"])
    tags = run.data.tags
    assert tags["stage"] == "demo" and tags["output_sha256"] == content_hash(Path("made"))
    assert tags["mlflow.note.content"].startswith("# a note\n")
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert files == {"deep", "model", "scores.json"}
    assert client.list_artifacts(run.info.run_id, "deep/down")[0].path == "deep/down/model"
    loaded = client.load_table(run.info.experiment_id, "scores.json", [run.info.run_id])
    pd.testing.assert_frame_equal(loaded, table)
    assert json.loads(tags["mlflow.loggedArtifacts"]) == [{"path": "scores.json", "type": "table"}]
    assert not list(spool_folder().glob("*"))


def test_three_stages_at_once_make_one_store_and_are_whole_in_it(project, tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(number)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for writer in writers:
        writer.stdout.readline()
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for number, writer in enumerate(writers):
        said, key = writer.communicate(timeout=300)
        assert writer.returncode == 0 and said == ""
        client, run = run_of(key)
        assert run.info.status == "FINISHED" and run.data.params == {"number": str(number)}
        assert steps(client, run) == steps(client, run, "rate") == list(range(300))
        files = {file.path for file in client.list_artifacts(run.info.run_id)}
        assert files == {"table.json", "model"} and "output_sha256" in run.data.tags
    assert not list(spool_folder().glob("*"))


def test_a_store_whose_making_was_killed_is_made_again(project, tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    (tmp_path / "mlflow.db.partial").write_bytes(b"SQLite format 3\0 cut short")
    run = run_a_stage()
    assert run_of(run.key)[1].info.status == "FINISHED"
    assert not (tmp_path / "mlflow.db.partial").exists()


@pytest.mark.parametrize("name", ["mlflow.db", "other.db"])
def test_a_relative_store_is_that_of_the_project_also_in_a_copy_that_is_thrown_away(
    project, tmp_path, monkeypatch, name
):
    if name != "mlflow.db":
        shutil.copyfile("mlflow.db", name)
    Path("made").rename(tmp_path / "made")  # the copy is where the stage works
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(project))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{name}")
    with stage_run("thrown away", {}, Path("made")) as log:
        log.log_artifact(Path("made/model"))
    _, run = run_of(log.key, f"sqlite:///{project / name}")
    assert run.info.run_id == log.run_id and run.info.status == "FINISHED"
    assert (project / "mlruns" / run.info.run_id / "artifacts/model").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"made"}


@pytest.mark.parametrize(
    ("uri", "meant"),
    [
        ("sqlite:///mlflow.db", ""),
        ("sqlite:///./mlflow.db", ""),
        ("sqlite:////the/root/mlflow.db", ""),
        ("sqlite:///deep/other.db?timeout=9", "sqlite:////the/root/deep/other.db?timeout=9"),
        ("sqlite+pysqlite:///other.db", "sqlite+pysqlite:////the/root/other.db"),
        ("mlruns", "/the/root/mlruns"),
        ("./runs", "/the/root/runs"),
        ("file:my%20runs", "file:///the/root/my%20runs"),
        ("file:./runs", "file:///the/root/runs"),
    ],
)
def test_a_relative_place_is_meant_from_the_projects_root(monkeypatch, uri, meant):
    monkeypatch.setenv("DVC_ROOT", "/the/root")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert store_uri() == meant


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "http://127.0.0.1:5000",
        "databricks",
        "databricks://profile",
        "postgresql://user:word@host/name",
        "/some/where",
        "file:///some/where",
        "sqlite:////some/where.db",
        "sqlite:///:memory:",
    ],
)
def test_any_other_store_is_what_the_environment_says(monkeypatch, uri):
    monkeypatch.setenv("DVC_ROOT", "/the/root")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert store_uri() == uri


def test_images_have_the_names_that_mlflow_gives_them(project):
    image = np.zeros((8, 600, 3), np.uint8)
    with stage_run("demo", {}, Path("made")) as log:
        log.log_image(image, "filled so far", 3)
    client, ours = run_of(log.key)
    theirs = client.create_run(ours.info.experiment_id)
    client.log_image(theirs.info.run_id, image, key="filled so far", step=3)

    def names(run):
        files = client.list_artifacts(run.info.run_id, "images")
        unique = r"timestamp\+\d{13}\+[0-9a-f-]{36}"
        return {re.sub(unique, "", file.path) for file in files}

    assert names(ours) == names(theirs) and len(names(ours)) == 2
    theirs = client.get_run(theirs.info.run_id)
    assert ours.data.tags["mlflow.loggedImages"] == theirs.data.tags["mlflow.loggedImages"]


@pytest.mark.parametrize(
    ("raised", "status"),
    [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED")],
)
def test_a_run_that_breaks_off_says_how(project, raised, status):
    with pytest.raises(raised), stage_run("demo", {}, Path("made")) as log:
        raise raised
    assert run_of(log.key)[1].info.status == status


def test_a_run_names_its_data(project):
    PREPARED.mkdir(parents=True)
    (PREPARED / "train.npy").write_text("images")
    data = content_hash(PREPARED)
    with stage_run("prepare", {}, PREPARED) as prepare:
        (PREPARED / "train.npy").write_text("other images")
    assert run_of(prepare.key)[1].data.tags["data_sha256"] == content_hash(PREPARED) != data
    assert run_of(run_a_stage().key)[1].data.tags["data_sha256"] == content_hash(PREPARED)


def test_the_makers_of_inputs_are_found_by_content(project):
    Path("params.yaml").write_text("preset: tiny")
    maker = run_a_stage()
    Path("unknown").write_text("made by nobody")
    with stage_run("links", {}, Path("unknown")) as log:
        hashes = {name: content_hash(Path(name)) for name in ("made", "unknown")}
        log.set_note("words", hashes)
    _, report = run_of(log.key)
    run_id = run_of(maker.key)[1].info.run_id
    note = report.data.tags["mlflow.note.content"]
    assert f"/runs/{run_id})" in note and "unknown: not found" in note


def test_system_metrics_are_logged_if_switched_on(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")
    client, run = run_of(run_a_stage().key)
    assert len(steps(client, run, "system/cpu_utilization_percentage")) == 1


def test_what_mlflow_refuses_does_not_hold_up_the_rest(project, capsys):
    with stage_run("demo", {"refused": 1}, Path("made")) as log:
        log.log_metrics({"loss": 1}, 1)
        log.log_metrics({"what?!": 1}, 2)
        log.log_metrics({"loss": 1}, 3)
    assert steps(*run_of(log.key)) == [1, 3]
    assert capsys.readouterr().out.count("MLflow refused metrics") == 1


def test_a_file_that_a_proxy_finds_too_large_holds_up_nothing(project, monkeypatch):
    too_large = requests.HTTPError("413 Request Entity Too Large", response=requests.Response())
    too_large.response.status_code = 413

    def refuse(*_):
        raise too_large

    monkeypatch.setattr(mlflow.MlflowClient, "log_artifact", refuse)
    spools = [a_spool() for _ in range(3)]
    refused, fault = send_ended()
    assert fault is None and len(refused) == 3 and "413" in refused[0]
    assert not any(spool.folder.exists() for spool in spools)
    for spool in spools:
        assert_sent_once(spool)


@pytest.mark.parametrize("status", [401, 500, 503])
def test_what_a_server_may_take_later_waits(status):
    busy = requests.HTTPError("busy", response=requests.Response())
    busy.response.status_code = status
    assert not is_final(busy)


def test_the_name_of_a_run_is_cut_to_what_databases_take(project):
    spool = Spool(uuid4().hex)
    spool.open(patience=1)
    spool.append("create", name="n" * 300, store="")
    spool.append("end", status="FINISHED")
    spool.close()
    assert send_ended() == ([], None)
    assert run_of(spool.key)[1].info.run_name == "n" * 250


def test_a_store_that_refuses_to_make_the_experiment_says_so():
    class Client:
        def get_experiment_by_name(self, name):
            return None

        def create_experiment(self, *_):
            raise MlflowException("no permission", PERMISSION_DENIED)

    with pytest.raises(MlflowException, match="no permission"):
        find_experiment(Client(), "cats", None)


def test_no_password_is_printed():
    fault = MlflowException("API request to http://me:secret@host:5000/api/2.0/x failed with 500")
    assert reason(fault) == "http://host:5000 does not answer"


# A run that was killed


def test_a_killed_run_is_marked_by_the_next_stages_and_then_goes_on(project):
    killed = Training()
    killed.log(*range(6))
    killed.kill()

    def marked():  # a stage sends what it has time for
        run_a_stage()
        return [run.info.status for run in found(killed.key)] == ["KILLED"]

    wait_until(marked)
    client, run = run_of(killed.key)
    assert run.info.status == "KILLED" and run.info.end_time >= run.info.start_time
    assert steps(client, run) == list(range(6))

    resumed = Training(killed.key)
    assert resumed.key == killed.key
    resumed.log(*range(3, 9))  # the last snapshot was older than the last step logged
    wait_until(lambda: run_of(killed.key)[1].info.status == "RUNNING")
    resumed.finish()
    client, run = run_of(killed.key)
    assert run.info.status == "FINISHED" and run.data.params == {"process": str(killed.process.pid)}
    assert steps(client, run) == list(range(9))
    assert "output_sha256" in run.data.tags


def test_what_waits_is_sent_also_after_mlflow_was_opened_in_the_process(project):
    """MLflow then has the store's address in the environment, where none was before."""
    killed = Training()
    killed.log(0)
    killed.kill()
    assert store_uri() == ""
    open_store()
    assert store_uri() == ""
    send_ended(store_uri())
    assert run_of(killed.key)[1].info.status == "KILLED"


def test_a_living_run_is_left_alone(project):
    living = Training()
    living.log(0)
    run_a_stage()
    assert waiting(living.key)[-1] == "metrics"
    with stage_run("train", {"other": 1}, Path("made"), key=living.key) as other:
        pass  # somebody has this run: another one is begun
    assert other.key != living.key
    living.finish()
    assert run_of(living.key)[1].info.status == "FINISHED"


def test_parameters_of_a_run_that_goes_on_stay_and_new_ones_come(project):
    with pytest.raises(SystemExit), stage_run("demo", {"a": 1}, Path("made")) as log:
        raise SystemExit
    with stage_run("demo", {"a": 2, "b": 3}, Path("made"), key=log.key):
        pass
    assert run_of(log.key)[1].data.params == {"a": "1", "b": "3"}


# A server that fails


def test_a_server_that_is_down_gets_the_run_when_it_is_up(project, server, monkeypatch):
    server.stop()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    training = Training()
    training.log(*range(5))
    assert re.search(r"MLflow: \d+ runs wait in .*maskgit reconcile", training.finish())
    assert sum(op == "metrics" for op in waiting(training.key)) == 5
    server.start()
    assert send_ended() == ([], None)
    client, run = run_of(training.key)
    assert steps(client, run) == list(range(5)) and run.info.status == "FINISHED"
    assert run.info.end_time < time.time() * 1000 - 1  # its own times, not those of the sending


def test_experiments_that_replace_each_others_files_while_the_server_is_down_are_all_kept(
    project, server, monkeypatch
):
    server.stop()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    made = {}
    for gamma in ("cosine", "square"):
        Path("made/model").write_text(f"of {gamma}")
        with stage_run("one of two", {"gamma": gamma}, Path("made")) as log:
            log.log_artifact(Path("made/model"))
        made[log.key] = gamma
    server.start()
    assert send_ended() == ([], None)
    for key, gamma in made.items():
        client, run = run_of(key)
        assert run.info.status == "FINISHED" and run.data.params == {"gamma": gamma}
        kept = client.download_artifacts(run.info.run_id, "model")
        assert Path(kept).read_text() == f"of {gamma}"


def test_a_server_killed_during_a_training_and_started_again_gets_every_step_once(
    project, server, monkeypatch
):
    server.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    training = Training()
    training.log(*range(20))
    wait_until(lambda: found(training.key) and steps(*run_of(training.key)) == list(range(20)))
    server.stop()
    training.log(*range(20, 40))
    server.start()
    training.log(*range(40, 60))
    wait_until(lambda: steps(*run_of(training.key)) == list(range(60)))  # it still runs
    training.finish()
    send_ended()  # what a slow server had no time for
    client, run = run_of(training.key)
    assert steps(client, run) == list(range(60)) and run.info.status == "FINISHED"
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["model"]
    assert not list(spool_folder().glob("*"))


def test_a_server_that_falls_asleep_and_wakes_gets_every_step_once(project, server, monkeypatch):
    """What was sent in vain arrives late, after it has been sent again."""
    server.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    training = Training(MLFLOW_HTTP_REQUEST_TIMEOUT="1")
    training.log(*range(20))
    os.killpg(server.process.pid, signal.SIGSTOP)
    training.log(*range(20, 40))
    time.sleep(3)
    os.killpg(server.process.pid, signal.SIGCONT)
    training.log(*range(40, 60))
    training.finish()
    send_ended()
    client, run = run_of(training.key)
    assert steps(client, run) == list(range(60)) and run.info.status == "FINISHED"


def test_a_server_that_never_answers_does_not_hold_a_stage(project, monkeypatch):
    with hanging_server() as uri:
        training = Training(MLFLOW_TRACKING_URI=uri)
        training.log(*range(50))
        assert "runs wait" in training.finish()
    ops = waiting(training.key)
    assert ops.count("metrics") == 50 and ops[0] == "create" and ops[-1] == "end"
    assert (Spool(training.key).folder / "files").is_dir()


def test_an_import_of_mlflow_that_never_ends_does_not_hold_a_stage(project, monkeypatch):
    """A stop at the wrong moment leaves Python's import lock taken."""
    monkeypatch.setattr(delivery, "IMPORT_PATIENCE", 0.1)
    monkeypatch.setattr(delivery.Sender, "run", lambda self: threading.Event().wait())
    assert run_a_stage().run_id is None


def test_a_run_that_mlflow_does_not_hold_whole_has_no_id(project, monkeypatch):
    monkeypatch.setattr("pipeline.tracking.delivery.SERVER_PATIENCE", 0.2)
    with hanging_server() as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        with stage_run("demo", {}, Path("made")) as log:
            pass
    assert log.run_id is None


def waiting(key):
    return [record["op"] for record in Spool(key).records()]


# The spool


def a_spool(uri=""):
    """A run that has ended and waits to be sent."""
    spool = Spool(uuid4().hex)
    spool.open(patience=1)
    spool.append("create", name="demo", store=uri)
    spool.append("params", values={"a": 1})
    for step in range(5):
        spool.append("metrics", values={"loss": 0.5, "none": float("nan")}, step=step)
    spool.append_file("notes", lambda path: path.write_text("text"))
    spool.append("metrics", values={"loss": 0.5}, step=5)
    spool.append("entry", sha256=uuid4().hex)
    spool.append("end", status="FINISHED")
    spool.close()
    return spool


def assert_sent_once(spool):
    client, run = run_of(spool.key)
    assert steps(client, run) == list(range(6)) and steps(client, run, "none") == list(range(5))
    assert run.info.status == "FINISHED" and run.data.params == {"a": "1"}


def test_what_is_sent_again_is_not_there_twice(project, tmp_path):
    spool = a_spool()
    shutil.copytree(spool.folder, tmp_path / "copy")
    assert send_ended() == ([], None) and not spool.folder.exists()
    shutil.copytree(tmp_path / "copy", spool.folder)  # as if killed before it was removed
    assert send_ended() == ([], None) and not spool.folder.exists()
    assert_sent_once(spool)


def test_a_sender_killed_after_every_answer_sends_each_record_once(project):
    spool, last, calls = a_spool(), 0, 0

    def killed():
        nonlocal calls
        calls += 1
        if calls > last:
            raise KeyboardInterrupt

    while spool.folder.exists():
        calls, last = 0, last + 1
        with contextlib.suppress(KeyboardInterrupt):
            Mirror(spool, killed).update()
    assert last > 6  # create, params, metrics, file, entry, end
    assert_sent_once(spool)


def test_two_runs_that_a_slow_server_made_of_one_become_one(project):
    store = open_store()
    spool = a_spool()
    for _ in range(2):
        store.client.create_run(store.stages, 1000, {"key": spool.key}, "demo")
    send_ended()
    assert_sent_once(spool)


def test_a_stage_leaves_the_runs_for_another_store_alone(project, capsys):
    with hanging_server() as uri:
        spool = a_spool(uri)
        records = spool.records()
        run_a_stage()
    assert spool.records() == records and capsys.readouterr().out == ""


def test_a_spool_that_another_process_sends_is_left_to_it(project):
    spool = a_spool()
    records = spool.records()
    with FileLock(spool.folder / "alive"):
        assert send_ended() == ([], None) and runs_waiting() == 0
    assert len(spool.records()) == len(records)
    assert send_ended() == ([], None) and not spool.folder.exists()


def test_a_spool_that_another_process_removes_stops_no_stage(project, monkeypatch):
    """It vanishes as soon as this process lets go of it."""
    with hanging_server() as uri:
        left = Training(MLFLOW_TRACKING_URI=uri)
        left.kill()
    folder, release = spool_folder() / left.key, FileLock.release

    def release_and_lose(self, force=False):
        release(self, force)
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and Path(self.lock_file).parent == folder:
            shutil.rmtree(folder)

    monkeypatch.setattr(FileLock, "release", release_and_lose)
    log = run_a_stage()
    assert not folder.exists() and run_of(log.key)[1].info.status == "FINISHED"


def test_a_line_cut_by_a_kill_is_dropped_when_the_run_goes_on(project):
    spool = Spool("key")
    spool.open(patience=1)
    spool.append("create", name="demo", store="")
    spool.close()
    with (spool.folder / "records.jsonl").open("a") as file:
        file.write('{"op": "metr')
    assert len(spool.records()) == 1
    spool.open(patience=1)
    spool.append("tags", values={})
    assert waiting("key") == ["create", "tags"]
    spool.close()


class OnFullDisk(type(Path())):
    """Reads as it is and cannot be written. A link to /dev/full would be read without end."""

    def open(self, mode="r", **how):
        return super().open(mode, **how) if "r" in mode else open("/dev/full", mode, **how)


def test_a_full_disk_costs_records_not_the_run(project, monkeypatch, capsys):
    with stage_run("demo", {"disk": "full"}, Path("made")) as log:
        with monkeypatch.context() as patch:
            patch.setattr(log._spool, "_records", OnFullDisk(log._spool._records))
            log.log_metrics({"loss": 1}, 0)
            log.log_metrics({"loss": 1}, 1)
        log.log_metrics({"loss": 1}, 2)
    assert steps(*run_of(log.key)) == [2]
    assert capsys.readouterr().out.count("MLflow will miss a part of this run") == 1


# One run for each entry of dvc.lock


def test_a_forced_repeat_adds_no_run(project):
    runs = []
    for _ in range(2):
        with stage_run("repeat", {"a": 1}, Path("made")) as log:
            log.log_metrics({"loss": 1}, 1)
        runs.append(log.run_id)
    assert runs[0] == runs[1]
    (run,) = open_store().runs("tags.stage = 'repeat'")
    assert run.info.run_id == runs[0] and steps(open_store().client, run) == [1]


def test_what_follows_the_entry_of_an_earlier_run_does_not_change_that_run(project):
    with stage_run("repeat", {"a": 1}, Path("made")) as log:
        pass
    entry = run_of(log.key)[1].data.tags[ENTRY_TAG]
    spool = Spool(uuid4().hex)
    spool.open(patience=1)
    spool.append("create", name="demo", store="")
    spool.append("entry", sha256=entry)
    mirror = Mirror(spool)
    mirror.update()
    spool.append("metrics", values={"late": 9.0}, step=0)
    spool.append("end", status="FINISHED")
    spool.close()
    mirror.update()
    assert mirror.run_id == log.run_id and "late" not in run_of(log.key)[1].data.metrics


@pytest.mark.parametrize("differs", ["params", "dependency", "output", "item"])
def test_whatever_differs_in_the_entry_is_another_run(project, differs):
    Path("dvc.yaml").write_text("stages: {s: {cmd: c, deps: [dep], outs: [made]}}")
    Path("params.yaml").write_text("gamma: cosine")
    Path("dep").write_text("before")
    with stage_run("s", {"differs": differs}, Path("made")) as first:
        pass
    if differs == "dependency":
        Path("dep").write_text("after")
    if differs == "output":
        Path("made/model").write_text("other weights")
    values = {"differs": differs} | ({"b": 1} if differs == "params" else {})
    with stage_run("s", values, Path("made"), "x" if differs == "item" else "") as second:
        pass
    for name in ("dvc.yaml", "params.yaml", "dep"):
        Path(name).unlink()
    assert first.run_id != second.run_id
    assert {run_of(log.key)[1].info.status for log in (first, second)} == {"FINISHED"}


def test_what_cannot_be_read_of_a_finished_stage_does_not_fail_it(project, monkeypatch, capsys):
    def unreadable(*_):
        raise OSError("gone")

    monkeypatch.setattr("pipeline.tracking.stage.entry_hash", unreadable)
    with stage_run("lost", {}, Path("made")) as log:
        pass
    assert run_of(log.key)[1].info.status == "FINISHED"
    assert "MLflow will miss a part of this run" in capsys.readouterr().out


def test_reports_and_other_stages_are_two_experiments(project):
    Path("params.yaml").write_text("preset: tiny")
    for stage in ("report", "encode"):
        with stage_run(stage, {}, Path("made")) as log:
            pass
        client, run = run_of(log.key)
        name = client.get_experiment(run.info.experiment_id).name
        assert name == ("maskgit" if stage == "report" else "maskgit stages")
    Path("params.yaml").unlink()


def test_runs_of_an_older_store_are_found_by_content(project):
    store = open_store()
    tags = {"stage": "encode", "output_sha256": "0123"}
    run = store.client.create_run(store.reports, 1000, tags, "encode").info.run_id
    store.client.set_terminated(run)
    assert store.find_maker("0123").info.run_id == run
