"""A temporary clone of the project, for tests that run the pipeline."""

import copy
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from mlflow import MlflowClient

ROOT = Path(__file__).parents[1]


class Clone:
    """A clone of the committed and uncommitted project, with sizes for a test.

    few_steps: the tokenizer and the decoder of mean codes train less than preset `tiny` has it.
    """

    def __init__(self, folder, few_steps=False):
        self.folder = folder
        self.output = ""
        listed = self.run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).splitlines()
        for name in listed:
            if (ROOT / name).is_file() and name != "dvc.lock":
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes((ROOT / name).read_bytes())
        params = yaml.safe_load((folder / "params.yaml").read_text())
        params["preset"] = "tiny"
        params["data"] |= {"holes": ["mixture", "thin"], "test": 16}
        params["vqgan"]["batch_size"] = 16
        params["inpaint"]["iterations"] = [1, 3]
        params["report"] |= {"iterations": 3, "grid": 2}
        if few_steps:
            params["vqgan"]["steps"], params["mean_decoder"]["steps"] = 24, 12
        (folder / "params.yaml").write_text(yaml.safe_dump(params))
        self.commit("start")

    def copy(self, folder):
        """Another one with the same content, MLflow's artifacts included."""
        shutil.copytree(self.folder, folder, symlinks=True)
        other = copy.copy(self)
        other.folder = folder
        return other

    def environment(self, **changes):
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "GIT_AUTHOR_NAME": "t",
            "GIT_AUTHOR_EMAIL": "t@t",
            "GIT_COMMITTER_NAME": "t",
            "GIT_COMMITTER_EMAIL": "t@t",
            "OMP_NUM_THREADS": "1",  # threads of stages that run side by side wait for each other
        }
        environment.pop("MLFLOW_TRACKING_URI", None)
        return environment | changes

    def run(self, *command, cwd=None, **changes):
        """What a command says, in this clone; `changes` are to its environment."""
        result = subprocess.run(
            command,
            cwd=cwd or self.folder,
            env=self.environment(**changes),
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        return result.stdout + result.stderr

    def commit(self, message):
        if not (self.folder / ".git").exists():
            self.run("git", "init", "-q", "-b", "main")
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", message)

    def stages_run(self, output):
        lines = output.splitlines()
        return {line.split("'")[1] for line in lines if line.startswith("Running stage")}

    def metrics(self):
        return json.loads((self.folder / "metrics.json").read_text())

    def reports(self):
        client = MlflowClient(f"sqlite:///{self.folder}/mlflow.db")
        experiment = client.get_experiment_by_name("maskgit")
        found = client.search_runs([experiment.experiment_id], "tags.stage = 'report'")
        return client, found
