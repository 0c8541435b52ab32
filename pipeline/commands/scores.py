"""Makes the page of `maskgit table`: the scores, their differences, and where to look further."""

import json
from pathlib import Path

import pandas as pd

from maskgit.scoring.score import Better, Column
from maskgit.scoring.scores import score_columns
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.places import REPORTS
from pipeline.plumbing.seconds import with_seconds
from pipeline.reporting.comparisons import comparison_text
from pipeline.reporting.text import scores_text

LEGEND = """
Brackets hold 95 % intervals over images. {directions}
The kernel distance decides. PSNR, SSIM and the Fréchet distance of few images favour blur.
{words}
How to read them:   docs/scores.md
Pictures and plots: {folder}/summary/
Every run:          maskgit ui"""
WORDS = {
    "seconds": "for an image, of one core or the GPU, as measured when this machine filled them",
    "one_pass": "the most likely tokens, all in one iteration",
    "mean": "the mean of all codes by their probabilities",
    "feed_forward": "a network that draws the hole in one pass, trained for as long",
    "tokenizer": "the tokenizer's upper bound, drawn from the true tokens",
    "true_images": "as many other true images",
}


def directions(scores: list[Column]) -> str:
    """Returns in a line each which scores are better when lower, and which when higher."""
    names = {way: [each.name for each in scores if each.score.better is way] for way in Better}
    ways = [way for way in (Better.LOWER, Better.HIGHER) if names[way]]
    return "\n".join(f"Better when {way}: {', '.join(names[way])}." for way in ways)


def scores_page(table: Path) -> str:
    """Returns the page for a table like reports/scores.csv and the differences beside it.

    The answer is that of `metrics.json` beside the folder of the table, as the pipeline leaves it.
    """
    if not table.is_file():
        raise UserError(f"{table} does not exist; run 'dvc repro' to make it")
    try:
        found = pd.read_csv(table)
        shown = with_seconds(found) if table == REPORTS / "scores.csv" else found
        parts = [scores_text(shown)]
    except (ValueError, TypeError, LookupError):
        raise UserError(f"{table} is no table of scores; 'dvc repro' makes it again") from None
    headline = table.parent.parent / "metrics.json"
    differences = table.with_name("differences.csv")
    if headline.is_file() and differences.is_file():
        try:
            row = json.loads(headline.read_text(encoding="utf-8"))
            compared = pd.read_csv(differences)
            parts.append("\n" + comparison_text(compared, row["gamma"], row["iterations"]))
            parts.append("\n" + row["answer"])
        except (ValueError, TypeError, LookupError):
            raise UserError(
                f"{headline} or {differences} is damaged; 'dvc repro' makes both again"
            ) from None
    present = [name for name in WORDS if name in {*shown.columns, *found["schedule"]}]
    words = "\n".join(f"{name + ':':13} {WORDS[name]}" for name in present)
    legend = LEGEND.format(
        directions=directions(score_columns(found.columns)), words=words, folder=table.parent
    )
    return "\n".join([*parts, legend])
