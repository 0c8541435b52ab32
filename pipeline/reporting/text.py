"""Scores as text, each with its interval, and what may be said of the schedules."""

from math import floor, isfinite, log10

import pandas as pd


def with_interval(value: float, low: float, high: float) -> str:
    """As '35.1 [33.0, 37.4]', to two digits of the interval's half; '' where there is no value."""
    if not isfinite(value):
        return ""
    half = (high - low) / 2
    digits = max(0, 1 - floor(log10(half))) if isfinite(half) and half > 0 else 3
    if not isfinite(half):
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def aligned(rows: list[list[str]], words: bool = False) -> str:
    """Columns of equal width: the first to the left, the others, numbers, to the right.

    words: no column has numbers, all go to the left.
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if words or i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def scores_text(table: pd.DataFrame) -> str:
    """Two tables from that of scores: of whole pictures, and inside the holes."""
    names = table.columns[3:].drop("steps", errors="ignore")
    scores = [name for name in names if not name.endswith(("_low", "_high"))]
    inside = [name for name in scores if name.endswith("_hole")]
    of_sets = [name for name in scores if name not in inside]
    return f"{_scores_table(table, of_sets)}\n\n{_scores_table(table, inside)}"


def _scores_table(table: pd.DataFrame, scores: list[str]) -> str:
    shown = table.dropna(subset=scores, how="all")
    rows = [["schedule", "iterations", "steps", "n", *scores]]
    for row in shown.to_dict("records"):
        iterations = "" if pd.isna(row["iterations"]) else str(int(row["iterations"]))
        steps = row.get("steps", float("nan"))
        taken = "" if pd.isna(steps) else f"{steps:.1f}"
        # a table without intervals, from an older version, is shown as it is
        cells = [
            with_interval(*(row.get(f"{name}{end}", float("nan")) for end in ("", "_low", "_high")))
            for name in scores
        ]
        rows.append([str(row["schedule"]), iterations, taken, str(row["n"]), *cells])
    return aligned(rows)


def record_text(record: dict[str, float]) -> str:
    """The scores of two folders, a line each, after the number of pictures in them."""
    counts = f"{record['n_a']} and {record['n_b']} pictures"
    title = f"{record['n_a']} pairs" if record["paired"] else f"{counts}, no pairs"
    names = [name for name in record if f"{name}_low" in record]
    rows = [
        [name, with_interval(*(record[f"{name}{end}"] for end in ("", "_low", "_high")))]
        for name in names
    ]
    return f"{title}\n{aligned(rows)}"
