"""Kills every stage at random moments of its work, and compares with a run never disturbed.

Run it by itself for more kills than the tests do (20 of each stage take a quarter of an hour on two
cores):

    python -m tests.faults --kills 20
"""

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import yaml
from mlflow import MlflowClient
from tqdm import tqdm

from pipeline.files import content_hash
from tests.clone import ROOT, Clone

KILLS_IN_A_ROW = 5  # then the stage may finish, and is compared
SNAPSHOT_SECONDS = 0.3  # in place of 30: the trainings take seconds, too
COMMANDS = {
    "prepare": "python -m pipeline.prepare",
    "train_vqgan": "python -m pipeline.train_vqgan",
    "encode": "python -m pipeline.encode",
    "train_transformer": "python -m pipeline.train_transformer",
    "reference": "python -m pipeline.reference",
    "inpaint": "python -m pipeline.inpaint cosine",
    "score": "python -m pipeline.score cosine",
    "report": "python -m pipeline.report",
    "dvc repro": "dvc repro --single-item --force --no-run-cache train_transformer",
}


@dataclass
class Record:
    """What the kills of one stage came to; steps are those of a training, 0 for other stages."""

    stage: str
    kills: int = 0
    finished_before: int = 0  # the stage was faster than the kill, which does not count
    survived: int = 0  # kills after which the stage, run again, left the undisturbed bytes
    resumed: int = 0  # kills after which it did not start from the beginning
    steps_done: int = 0  # before kills, by the progress bar
    steps_repeated: int = 0


def outputs(stage: str) -> list[str]:
    """What DVC deletes before the stage runs."""
    described = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]
    metrics = [next(iter(entry)) for entry in described.get("metrics", [])]
    return [path.replace("${item.schedule}", "cosine") for path in described["outs"] + metrics]


def work_seconds(clone: Clone, stage: str) -> float:
    """How long a stage worked, its start not included, by the tracker's clock."""
    client = MlflowClient(f"sqlite:///{clone.folder}/mlflow.db")
    experiment = client.get_experiment_by_name("maskgit")
    run = client.search_runs([experiment.experiment_id], f"tags.stage = '{stage}'")[-1]
    return (run.info.end_time - run.info.start_time) / 1000


def start_seconds(clone: Clone, command: str) -> float:
    """How long a stage's imports take."""
    start = time.monotonic()
    module = "dvc.cli" if command.startswith("dvc") else command.split()[2]
    clone.run(sys.executable, "-c", f"import {module}")
    return time.monotonic() - start


def last_number(pattern: str, text: str, default: int) -> int:
    found = re.findall(pattern, text)
    return int(found[-1]) if found else default


def kill_stage(finished: Clone, name: str, kills: int, seed: int, progress: tqdm) -> Record:
    """Kills one stage `kills` times, in a copy of the finished clone."""
    command = COMMANDS[name]
    stage = "train_transformer" if name == "dvc repro" else name
    record, rng = Record(name), random.Random(f"{seed} {name}")
    with tempfile.TemporaryDirectory() as scratch:
        clone = finished.copy(Path(scratch) / "clone")
        made = [clone.folder / path for path in outputs(stage)]
        expected = [content_hash(path) for path in made]
        first, work = start_seconds(clone, command), work_seconds(finished, stage)
        if name == "dvc repro":
            first += start_seconds(clone, COMMANDS[stage])
        log = Path(scratch) / "log"
        done, in_a_row = 0, 0  # steps before the last kill; kills since the last comparison
        while record.kills < kills or in_a_row:
            for path in made:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            killing = in_a_row < KILLS_IN_A_ROW and record.kills < kills
            seconds = first + rng.uniform(0, work) if killing else None
            code = run_for(clone, command, seconds, log)
            said = log.read_text()
            resumed = last_number(r"resuming at step (\d+)", said, 0)
            if done and resumed + last_number(r" (\d+)/\d+ \[", said, 0):
                record.resumed += resumed > 0
                record.steps_repeated += max(0, done - resumed)
                done = 0
            if code == -signal.SIGKILL:
                record.kills += 1
                in_a_row += 1
                done = last_number(r" (\d+)/\d+ \[", said, 0) if "train" in stage else 0
                record.steps_done += max(0, done - resumed)
                progress.update()
                continue
            assert code == 0, f"{name} failed after {record.kills} kills: {said[-3000:]}"
            record.finished_before += killing
            left = [*clone.folder.rglob("*.partial"), *clone.folder.glob(".maskgit/*/*.pt")]
            if [content_hash(path) for path in made] == expected and not left:
                record.survived += in_a_row
            in_a_row = 0
    return record


def run_for(clone: Clone, command: str, seconds: float | None, log: Path) -> int:
    """Runs a command, and kills it and all its children after so many seconds; its exit code."""
    environment = clone.environment(MASKGIT_SNAPSHOT_SECONDS=str(SNAPSHOT_SECONDS))
    with log.open("w") as file:
        process = subprocess.Popen(
            command.split(),
            cwd=clone.folder,
            env=environment,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait()


def kill_stages(finished: Clone, kills: dict[str, int], seed: int = 0) -> list[Record]:
    """A record for each stage, killed so many times; two stages at a time."""
    with (
        tqdm(total=sum(kills.values()), desc="kill", unit="kill") as bar,
        ThreadPoolExecutor(2) as pool,
    ):
        killed = [
            pool.submit(kill_stage, finished, name, count, seed, bar)
            for name, count in kills.items()
        ]
        return [record.result() for record in killed]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="of each stage")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("stages", nargs="*", default=list(COMMANDS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        clone = Clone(Path(scratch))
        print("the undisturbed run ...")
        clone.run("dvc", "repro")
        records = kill_stages(clone, dict.fromkeys(options.stages, options.kills), options.seed)
    names = [field.name for field in fields(Record)]
    for row in [names, *map(astuple, records)]:
        print(f"{row[0]:18}" + "".join(f"{cell:>16}" for cell in row[1:]))
    sys.exit(any(record.survived < record.kills for record in records))


if __name__ == "__main__":
    main()
