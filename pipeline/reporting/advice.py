"""What to use: which settings keep up with the reference in every one of several studies."""

from pathlib import Path

import numpy as np
import pandas as pd

from maskgit.scoring.scores import DECIDES, column_of
from maskgit.scoring.verdicts import FEWEST
from pipeline.plumbing.errors import UserError
from pipeline.reporting.study import (
    FINDINGS,
    KEYS,
    REFERENCE,
    SETTING,
    SETTINGS,
    with_the_reference,
    words,
)

NUMBERS = ["difference", "low", "high"]


def read_study(folder: Path) -> pd.DataFrame:
    """Returns the findings of a study's report, the differences as shares of the reference's score.

    The attribute `score` of the result has the name of the score. Raises UserError where the folder
    has no such report, too few pictures for verdicts, or a reference that is not above 0.
    """
    try:
        found, settings = (
            pd.read_csv(folder / name, keep_default_na=False) for name in (FINDINGS, SETTINGS)
        )
        score = column_of(DECIDES, settings.columns).name
        reference = settings.set_index(SETTING).loc[[REFERENCE]].set_index("hole_kind")[score]
        if (reference <= 0).any():
            raise UserError(
                f"{folder}: the reference has a kernel distance of 0 or below, of which no "
                "difference is a share"
            )
        if not np.isfinite(found[NUMBERS].to_numpy()).all():
            raise UserError(f"{folder}: verdicts need {FEWEST} pictures, and there are fewer")
        found = with_the_reference(found, settings)
        found[NUMBERS] = found[NUMBERS].div(found["hole_kind"].map(reference), axis=0)
        found.attrs["score"] = score
        return found[[*KEYS, *NUMBERS, "verdict", "steps"]]
    except (OSError, ValueError, LookupError):
        raise UserError(
            f"{folder} has no report of a study; 'dvc repro study/dvc.yaml' writes reports/study"
        ) from None


def in_every_study(studies: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, list[str]]:
    """Returns the findings that every study has, with a column `study`, and what was left out.

    Left out are decoders that some study lacks, and single settings of other decoders, in words.
    Raises UserError where the studies have no setting in common, or different judges.
    """
    judges = {name: table.attrs.get("score") for name, table in studies.items()}
    if len(set(judges.values())) > 1:
        named = ", ".join(f"{name} by {judge}" for name, judge in judges.items())
        raise UserError(f"the studies are of different judges: {named}; set score.extractor")
    found = pd.concat(
        [table.assign(study=name) for name, table in studies.items()], ignore_index=True
    )
    common = found.groupby(KEYS)["study"].transform("nunique") == len(studies)
    compared = found[SETTING].apply(tuple, axis=1) != REFERENCE
    if not (common & compared).any():
        raise UserError(f"the studies {', '.join(studies)} have no setting in common")
    decoders = set(found[common]["decoder"])
    left_out = [
        words(setting) if setting[0] in decoders else setting[0]
        for setting in found[~common][SETTING].itertuples(index=False)
    ]
    return found[common], list(dict.fromkeys(left_out))


def advice(studies: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Returns for each kind of hole which settings to take, a row each.

    studies: by name of data set, what `read_study` returns. The columns are `hole`, `advice`,
    `setting`, `passes`, a cell for each data set, and `holds`. Only settings count that every study
    has; raises UserError where there is none.

    The first advice is the setting that takes the fewest passes of those that are shown to be worse
    in no study, maybe the reference itself. The second is the one that is shown to be better in the
    most studies, and worse in none. Of equal ones the lowest mean difference is taken.
    """
    found, _ = in_every_study(studies)
    found = found.assign(worse=DECIDES.better.sign * found["difference"])
    rows = []
    for kind, of_kind in found.groupby("hole_kind", sort=False):
        settings = of_kind.groupby(SETTING, sort=False).agg(
            steps=("steps", "mean"),
            worse=("worse", "mean"),
            shown_worse=("verdict", lambda verdicts: sum(verdicts == "worse")),
            shown_better=("verdict", lambda verdicts: sum(verdicts == "better")),
        )
        kept = settings[settings["shown_worse"] == 0]
        better = kept[kept["shown_better"] > 0]
        fewest = kept.sort_values(["steps", "worse"]).index[:1]
        best = better.sort_values(["shown_better", "worse"], ascending=[False, True]).index[:1]
        for name, chosen in (("fewest passes", fewest), ("best", best)):
            rows += [_row(kind, name, setting, of_kind, list(studies)) for setting in chosen]
    columns = ["hole", "advice", "setting", "passes", *studies, "holds"]
    return pd.DataFrame(rows, columns=columns)


def _row(
    kind: str, name: str, setting: tuple[str, str, int], of_kind: pd.DataFrame, studies: list[str]
) -> dict[str, object]:
    """Returns the row of an advice: what each study says of a setting on a kind of hole."""
    same = np.logical_and.reduce(
        [of_kind[key] == value for key, value in zip(SETTING, setting, strict=True)]
    )
    by_study = of_kind[same].set_index("study")
    shown = sum(by_study["verdict"] == "better")
    holds = "nowhere shown to be worse"
    if name == "best":
        holds = f"shown to be better in {shown} of {len(studies)}"
    return (
        {"hole": kind, "advice": name, "setting": words(setting)}
        | {"passes": f"{by_study['steps'].mean():.1f}"}
        | {study: _cell(by_study.loc[study], setting) for study in studies}
        | {"holds": holds}
    )


def _cell(row: pd.Series, setting: tuple[str, str, int]) -> str:
    """Returns a difference from the reference in percent, with its interval and verdict."""
    if setting == REFERENCE:
        return "the reference"
    value, low, high = (100 * row[name] for name in NUMBERS)
    return f"{value:+.0f} % [{low:+.0f}, {high:+.0f}] {row['verdict']}".rstrip()


def advice_text(studies: dict[str, pd.DataFrame]) -> str:
    """Returns the advice in Markdown, and what it says nothing about: holes and settings."""
    table = advice(studies)
    found, left_out = in_every_study(studies)
    lines = [f"| {' | '.join(table.columns)} |", "|---" * len(table.columns) + "|"]
    lines += [f"| {' | '.join(map(str, row))} |" for row in table.itertuples(index=False)]
    kinds = found["hole_kind"].unique()
    best = set(table.loc[table["advice"] == "best", "hole"])
    silent = [kind for kind in kinds if kind not in best]
    text = "\n".join(lines)
    if silent:
        text += (
            f"\n\nIn {', '.join(silent)} holes no setting is shown to be better in one study and "
            "worse in none."
        )
    if left_out:
        text += f"\n\nLeft out, since a study lacks them: {'; '.join(left_out)}."
    return text
