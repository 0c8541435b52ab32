"""Kills every stage at random moments of its work, and compares with a run never disturbed.

Run it by itself for more kills than the tests do:

    python -m tests.faults --kills 20
"""

import argparse
import contextlib
import math
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

import psutil
import yaml
from tqdm import tqdm

from pipeline.plumbing.hashing import content_hash
from tests.clone import ROOT, Clone

KILLS_IN_A_ROW = 5  # then the stage may finish, and is compared
SNAPSHOT_SECONDS = 0.3  # in place of 30: the trainings take seconds, too
COMMANDS = {
    "prepare": "python -m pipeline.stages.prepare",
    "train_vqgan": "python -m pipeline.stages.train_vqgan",
    "encode": "python -m pipeline.stages.encode",
    "train_transformer": "python -m pipeline.stages.train_transformer",
    "train_decoder": "python -m pipeline.stages.train_decoder",
    "reference": "python -m pipeline.stages.reference",
    "inpaint": "python -m pipeline.stages.inpaint cosine",
    "score": "python -m pipeline.stages.score cosine",
    "report": "python -m pipeline.stages.report",
    "dvc repro": "dvc repro --single-item --force --no-run-cache train_transformer",
}


@dataclass
class Record:
    """What the kills of one stage came to; steps are those of a training, 0 for other stages."""

    stage: str
    kills: int = 0
    finished_before: int = 0  # the stage was faster than the kill, which does not count
    survived: int = 0  # kills after which the stage, run again, left the undisturbed bytes
    torn_locks: int = 0  # kills that left a dvc.lock cut short, which DVC writes in place
    resumed: int = 0  # kills after which it did not start from the beginning
    steps_done: int = 0  # before kills, by the progress bar
    steps_repeated: int = 0


def outputs(stage: str) -> list[str]:
    """What DVC deletes before the stage runs."""
    described = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]
    metrics = [next(iter(entry)) for entry in described.get("metrics", [])]
    return [path.replace("${item.schedule}", "cosine") for path in described["outs"] + metrics]


def last_number(pattern: str, text: str) -> int:
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def run(clone: Clone, command: list[str], kill_at: float, log: Path) -> tuple[int, float]:
    """Runs a command and kills it, with all its children, once it has used so much processor time.

    By processor time, not by the clock, so that a busy machine does not move the kills. Returns
    the exit code and the seconds used.
    """
    with log.open("w") as file:
        process = subprocess.Popen(
            command,
            cwd=clone.folder,
            env=clone.environment(MASKGIT_SNAPSHOT_SECONDS=str(SNAPSHOT_SECONDS)),
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
        used = 0.0
        while process.poll() is None:
            used = max(used, processor_seconds(process.pid))
            if used >= kill_at:
                os.killpg(process.pid, signal.SIGKILL)
                break
            time.sleep(0.01)
        return process.wait(), used


def processor_seconds(pid: int) -> float:
    """Of a process and all its children, also those that have ended."""
    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:4])
    return total


def kill_stage(finished: Clone, name: str, kills: int, seed: int, progress: tqdm) -> Record:
    """Kills one stage `kills` times, in a copy of the finished clone."""
    command, stage = COMMANDS[name].split(), "train_transformer" if name == "dvc repro" else name
    record, rng = Record(name), random.Random(f"{seed} {name}")
    with tempfile.TemporaryDirectory() as scratch:
        clone, log = finished.copy(Path(scratch) / "clone"), Path(scratch) / "log"
        made = [clone.folder / path for path in outputs(stage)]
        expected = [content_hash(path) for path in made]
        imports = f"import {'dvc.cli, ' if name == 'dvc repro' else ''}pipeline.stages.{stage}"
        first = run(clone, [sys.executable, "-c", imports], math.inf, log)[1]
        remove(made)
        code, total = run(clone, command, math.inf, log)
        assert code == 0 and [content_hash(path) for path in made] == expected, log.read_text()
        done, in_a_row = 0, 0  # steps before the last kill; kills since the last comparison
        while record.kills < kills or in_a_row:
            remove(made)
            killing = in_a_row < KILLS_IN_A_ROW and record.kills < kills
            kill_at = rng.uniform(first, total) if killing else math.inf
            code, _ = run(clone, command, kill_at, log)
            said = log.read_text()
            begun = last_number(r"resuming at step (\d+)", said)
            reached = last_number(r"train .* (\d+)/\d+ \[", said)
            if done and reached:
                record.resumed += begun > 0
                record.steps_repeated += max(0, done - begun)
                done = 0
            if code == -signal.SIGKILL:
                record.kills += 1
                in_a_row += 1
                record.steps_done += reached - begun if reached else 0
                done = reached or done
                progress.update()
                continue
            if re.search(r"dvc.lock' (is invalid|validation failed)", said):
                (clone.folder / "dvc.lock").unlink()  # as docs/safety.md says
                record.torn_locks += 1
                continue
            assert code == 0, f"{name} failed after {record.kills} kills: {said[-3000:]}"
            record.finished_before += killing
            left = [  # a killed run's spool may keep one: nobody reads it
                *(p for p in clone.folder.rglob("*.partial") if "spool" not in p.parts),
                *clone.folder.glob(".maskgit/*/*.pt"),
            ]
            differ = [p for p, e in zip(made, expected, strict=True) if content_hash(p) != e]
            if differ or left:
                progress.write(f"{name}: {differ} differ, {left} are left")
            else:
                record.survived += in_a_row
            in_a_row = 0
    return record


def remove(paths: list[Path]) -> None:
    for path in paths:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


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
        clone.commit("first run")
        records = kill_stages(clone, dict.fromkeys(options.stages, options.kills), options.seed)
    names = [field.name for field in fields(Record)]
    for row in [names, *map(astuple, records)]:
        print(f"{row[0]:18}" + "".join(f"{cell:>16}" for cell in row[1:]))
    sys.exit(any(record.survived < record.kills for record in records))


if __name__ == "__main__":
    main()
