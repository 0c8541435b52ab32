"""The page of `maskgit table`: the table, what it shows, and where to look further."""

import json
from pathlib import Path

import pandas as pd

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import REPORTS
from pipeline.reporting.comparisons import comparison_text
from pipeline.reporting.text import scores_text

LEGEND = f"""
Brackets hold 95 % intervals over images. Lower is better, except for PSNR, SSIM, P-IDS and U-IDS.
The kernel distance decides. PSNR, SSIM and the Fréchet distance of few images favour blur.
one_pass:    the most likely tokens, all in one iteration
tokenizer:   the tokenizer's upper bound, drawn from the true tokens
true_images: as many other true images
How to read them:   docs/scores.md
Pictures and plots: {REPORTS / "summary"}/
Every run:          maskgit ui"""


def scores_page(table: Path) -> str:
    """Of a table like reports/scores.csv, with the differences that lie beside it."""
    if not table.is_file():
        raise UserError(f"{table} does not exist; run 'dvc repro' to make it")
    try:
        parts = [scores_text(pd.read_csv(table))]
    except (ValueError, TypeError, LookupError):
        raise UserError(f"{table} is no table of scores; 'dvc repro' makes it again") from None
    headline, differences = Path("metrics.json"), table.with_name("differences.csv")
    if headline.is_file() and differences.is_file():
        row = json.loads(headline.read_text())
        table = pd.read_csv(differences)
        parts.append("\n" + comparison_text(table, row["gamma"], row["iterations"]))
        parts.append("\n" + row["answer"])
    return "\n".join([*parts, LEGEND])
