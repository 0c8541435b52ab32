"""The page of `maskgit scores`: the table, what it shows, and where to look further."""

import json
from pathlib import Path

import pandas as pd

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import REPORTS
from pipeline.reporting.text import comparison_text, scores_text

LEGEND = f"""
In brackets: 95 % intervals, for other images like these and as many.
Lower is better, but for PSNR and SSIM (which favour blur). true_images: other true
images, as many, the floor of a distance; fills share pixels with the truth, so
their Fréchet distance may be lower. tokenizer: an oracle, it knows the true codes.
Pictures and plots: {REPORTS / "summary"}/
Every run:          mlflow ui --backend-store-uri sqlite:///mlflow.db"""


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
        iterations = json.loads(headline.read_text())["iterations"]
        parts.append("\n" + comparison_text(pd.read_csv(differences), iterations))
    return "\n".join([*parts, LEGEND])
