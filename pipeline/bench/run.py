"""The command of the benchmark: times the steps, prints, writes and logs the table."""

import platform
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import torch

from maskgit.device import best_device, bf16_is_faster
from pipeline.bench.race import time_race
from pipeline.bench.steps import STEPS, Size
from pipeline.bench.table import readable, summarise, utilisation
from pipeline.plumbing.params import load_params
from pipeline.plumbing.places import REPORTS
from pipeline.reporting.text import aligned
from pipeline.tracking.stage import stage_run

TABLE = REPORTS / "bench.csv"
EQUAL = 1e-3  # relative

# The narrowest tokenizer of the lab, whose norms have 32 groups; it is about as large as ours.
NARROW = {"enc_channels": [32] * 6, "dec_channels": [32] * 5, "latent_dim": 16}


def size_of(preset: str) -> Size:
    """Returns an amount of work for minutes; for `lab` on a processor, a few images only."""
    if preset == "laptop":
        return Size(
            lab_tokenizer=NARROW,
            trained={"channels": 96, "encoder_blocks": 4, "decoder_blocks": 2, "latent_dim": 16},
            train=(8, 4),
            tokenizer_batch=8,
            inpaint_images=16,
            repeats=7,
        )
    on_gpu = best_device().type == "cuda"
    return Size(
        lab_tokenizer={},
        trained={"channels": 768, "encoder_blocks": 1, "decoder_blocks": 6, "latent_dim": 16},
        train=(128, 4) if on_gpu else (8, 1),
        tokenizer_batch=32 if on_gpu else 2,
        inpaint_images=16 if on_gpu else 2,
        repeats=7 if on_gpu else 2,
    )


def machine() -> str:
    """Describes the machine in one line."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    bf16 = "with" if bf16_is_faster(best_device()) else "without"
    name = torch.cpu.get_capabilities().get("cpu_name", platform.machine())
    return f"{torch.get_num_threads()} threads of {name}, {bf16} bf16"


def run_bench(preset: str, steps: list[str], repeats: int | None) -> None:
    """Times the steps; `repeats` replaces each step's own number."""
    params, size = load_params(preset=preset), size_of(preset)
    values = {"preset": preset, "steps": ",".join(steps), "machine": machine()}
    print(f"{preset}: {machine()}; seconds are medians, lab and ours in turn")
    with stage_run("bench", values, TABLE) as run, TemporaryDirectory() as folder:
        tables, notes = [], []
        for step in steps:
            torch.manual_seed(0)
            race = STEPS[step](params, size, Path(folder))
            result = time_race(race, repeats or race.repeats)
            table = summarise(race, result, preset)
            tables.append(table)
            notes += [f"{step}: {note}" for note in race.notes]
            if result.difference is not None:
                same = "equal" if result.difference <= EQUAL else "NOT EQUAL"
                notes.append(f"{step}: results {same}, {result.difference:.1e} apart")
            ours = table.iloc[-1]
            run.log_metrics({f"{step}_ratio": ours["ratio"]})
            if step == "train":
                used = utilisation(ours["ours_gflop"] * 1e9 / ours["ours_seconds"])
                if used is not None:
                    run.log_metrics({"train_flop_utilisation": used})
                    notes.append(f"train: ours reaches {used:.0%} of the card's dense bf16 peak")
        table = pd.concat(tables, ignore_index=True)
        TABLE.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(TABLE, index=False)
        run.log_artifact(TABLE)
        run.log_table(table, "bench.json")
    print(aligned(readable(table)))
    print("\n" + "\n".join(notes) + f"\nTable: {TABLE}")
