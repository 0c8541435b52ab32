"""Formats scores with their intervals as text tables."""

from collections.abc import Iterable, Mapping
from math import floor, isfinite, log10

import pandas as pd

from maskgit.scoring import scores
from maskgit.scoring.columns import with_ends
from maskgit.scoring.score import Column, Scope
from maskgit.scoring.scores import clip_bounds, score_columns

COSTS = {"steps": ".1f", "seconds": ".3g"}  # columns that say what a method costs, and their forms


def with_interval(value: float, low: float, high: float, quoted: bool = False) -> str:
    """Returns '35.1 [33.0, 37.4]', to two digits of half the interval; '' for no value.

    Without an interval, to two digits or three decimals. What rounds to zero has no sign.

    quoted: one digit more, and at least two decimals, as papers quote scores.
    """
    if not isfinite(value):
        return ""
    half = (high - low) / 2
    known = isfinite(half)
    digits = max(0, _places(half)) if known and half > 0 else 3
    if not known:
        digits = max(digits, _places(value))
    if quoted:
        digits = max(2, digits + 1)
    if not known:
        return f"{value:z.{digits}f}"
    if low * high > 0:  # an end that is not 0 is not printed as 0
        digits = max(digits, _places(min(abs(low), abs(high))) - 1)
    return f"{value:z.{digits}f} [{low:z.{digits}f}, {high:z.{digits}f}]"


def _places(value: float) -> int:
    """Returns the decimals that show two digits of a value; 0 for 0."""
    return 1 - floor(log10(abs(value))) if value else 0


def rounded_count(count: float) -> str:
    """Returns a count rounded to two digits, as '1,300'."""
    return f"{int(float(f'{count:.1e}')):,}"


def aligned(rows: list[list[str]], words: bool = False) -> str:
    """Aligns the columns of a table: the first to the left, the others, of numbers, to the right.

    words: no column has numbers, so that all are aligned to the left.
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


def score_cells(row: Mapping[str, float], names: Iterable[str], quoted: bool = False) -> list[str]:
    """Returns each score of a row with its interval, '' where the row has none.

    Values without intervals, as older versions wrote them, are shown without. No interval of a
    distance reaches below 0. quoted: as in `with_interval`.
    """
    nothing, row = float("nan"), clip_bounds(row)
    return [
        with_interval(*(row.get(key, nothing) for key in with_ends(name)), quoted) for name in names
    ]


def scores_text(table: pd.DataFrame) -> str:
    """Returns the table of scores as two text tables: of whole pictures, and inside the holes.

    Raises LookupError where the table has no scores.
    """
    found = score_columns(table.columns)
    if not found:
        raise LookupError("the table has no scores")
    inside = [column.name for column in found if column.score.scope is Scope.HOLE]
    whole = [column.name for column in found if column.score.scope is not Scope.HOLE]
    return f"{_scores_table(table, whole)}\n\n{_scores_table(table, inside)}"


def _scores_table(table: pd.DataFrame, scores: list[str]) -> str:
    shown = table.dropna(subset=scores, how="all")
    costs = [name for name in COSTS if name in ("steps", *shown.columns)]
    rows = [["schedule", "iterations", *costs, "n", *scores]]
    for row in shown.to_dict("records"):
        iterations = "" if pd.isna(row["iterations"]) else str(int(row["iterations"]))
        spent = [_number(row.get(name), COSTS[name]) for name in costs]
        cells = [str(row["schedule"]), iterations, *spent, str(row["n"])]
        rows.append([*cells, *score_cells(row, scores)])
    return aligned(rows)


def _number(value: float | None, form: str) -> str:
    """Returns a number in a format of its own, '' for none."""
    return "" if pd.isna(value) else format(value, form)


def record_text(record: dict[str, float]) -> str:
    """Returns the scores of two folders, a line each, after the number of pictures."""
    counts = f"{record['n_a']} and {record['n_b']} pictures"
    title = f"{record['n_a']} pairs" if record["paired"] else f"{counts}, no pairs"
    names = [name for name in record if set(with_ends(name)) <= record.keys()]
    rows = zip(names, score_cells(record, names, quoted=True), strict=True)
    return f"{title}\n{aligned([list(row) for row in rows])}"


def columns_markdown() -> str:
    """Returns the documentation's table of scores in Markdown, a row for each score."""
    lines = ["| column | score | better | of | source |", "|---|---|---|---|---|"]
    for score in scores.SCORES:
        named = [score.network_column(network) for network in (*score.short, "NETWORK")]
        if score.official:
            named = [Column(score, *score.official), *named]
        names = ", else ".join(f"`{column.name}`" for column in named)
        cells = [names, named[-1].label, score.better, score.scope, score.source]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
