"""Stage study_report (study/dvc.yaml): writes the findings, plots and tables of all decoders."""

import pandas as pd

from pipeline.plumbing.errors import plain_errors
from pipeline.plumbing.files import fresh_folder, read_table
from pipeline.plumbing.params import load_params
from pipeline.plumbing.places import REPORTS, STUDY
from pipeline.reporting.study import (
    FINDINGS,
    SETTINGS,
    findings,
    findings_text,
    plot_study,
    settings_table,
    too_few_text,
)
from pipeline.reporting.study_plans import PLANS
from pipeline.tracking.stage import stage_run

OUTPUT = REPORTS / "study"


def main() -> None:
    with stage_run("study_report", load_params(), OUTPUT), fresh_folder(OUTPUT) as folder:
        images = pd.concat([read_table(STUDY / name / "images.csv") for name in PLANS])
        settings = settings_table(images)
        found = findings(images)
        settings.to_csv(folder / SETTINGS, index=False)
        found.to_csv(folder / FINDINGS, index=False)
        plot_study(settings, folder / "study.png")
        texts = findings_text(settings, found), too_few_text(images, settings, found)
        words = "\n\n".join(filter(None, texts))
        (folder / "findings.md").write_text(words + "\n", encoding="utf-8")
    print(words)


if __name__ == "__main__":
    with plain_errors():
        main()
