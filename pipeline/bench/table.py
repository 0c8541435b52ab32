"""Makes the table of a benchmark."""

import re

import pandas as pd
import torch

from pipeline.bench.race import Race, Result

# Dense bf16 peaks in floating-point operations a second, from the makers' data sheets.
BF16_PEAKS = {
    "A100": 312e12,
    "A10": 125e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "H200": 989e12,
    "L40S": 362e12,
    "L4": 121e12,
    "RTX 4090": 165e12,
    "MI300X": 1307e12,
}


def summarise(race: Race, result: Result, preset: str) -> pd.DataFrame:
    """Returns a row for each way but the lab's; seconds are medians, per image.

    Columns: `ratio`, the median over the turns of lab / ours, with its quartiles `ratio_low` and
    `ratio_high`; `flop_ratio`, that of the floating-point operations, empty where torch does none;
    `lab_gflop` and `ours_gflop`, for one image; `difference`, relative, of results that
    should be equal.
    """
    rows = []
    for i, way in enumerate(race.ways[1:], start=1):
        paired = pd.Series(result.seconds[:, 0] / result.seconds[:, i])
        counted = result.flops[0] > 0 and result.flops[i] > 0
        rows.append(
            {
                "step": race.step,
                "way": way.name,
                "preset": preset,
                "lab_seconds": pd.Series(result.seconds[:, 0]).median(),
                "ours_seconds": pd.Series(result.seconds[:, i]).median(),
                "ratio": paired.median(),
                "ratio_low": paired.quantile(0.25),
                "ratio_high": paired.quantile(0.75),
                "flop_ratio": result.flops[0] / result.flops[i] if counted else None,
                "lab_gflop": result.flops[0] / 1e9 if counted else None,
                "ours_gflop": result.flops[i] / 1e9 if counted else None,
                "repeats": len(result.seconds),
                "difference": result.difference,
            }
        )
    return pd.DataFrame(rows)


def number(value: float) -> str:
    """Returns a number to three digits, '' for none."""
    return "" if pd.isna(value) else f"{value:.3g}"


def readable(table: pd.DataFrame) -> list[list[str]]:
    """Returns the cells to print: milliseconds and ratios to three digits."""
    rows = [["step, way", "lab ms", "ms", "times faster", "quartiles", "fewer FLOPs"]]
    for row in table.itertuples():
        rows.append(
            [
                f"{row.step}: {row.way}",
                number(1000 * row.lab_seconds),
                number(1000 * row.ours_seconds),
                number(row.ratio),
                f"{number(row.ratio_low)} to {number(row.ratio_high)}",
                number(row.flop_ratio),
            ]
        )
    return rows


def utilisation(flops_a_second: float) -> float | None:
    """Returns the share of the GPU's dense bf16 peak; None for a GPU that is not in BF16_PEAKS.

    Cards of the same number for laptops, and Nvidia's NVL cards, have other peaks.
    """
    if not torch.cuda.is_available():
        return None
    card = torch.cuda.get_device_name()
    if re.search(r"\b(NVL|Laptop|Max-Q)\b", card):
        return None
    peaks = [peak for name, peak in BF16_PEAKS.items() if re.search(rf"\b{name}\b", card)]
    return flops_a_second / peaks[0] if peaks else None
