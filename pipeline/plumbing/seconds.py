"""Keeps how long a fill took, apart from all results.

Times differ from run to run. Among the results they would change the hashes of equal fills, so that
DVC would run stages again and MLflow would list a report twice. So they lie in .maskgit/seconds/,
each file named by the content of the folder that was made in that time. Whoever has that folder
finds its times, after `dvc checkout` as well.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.plumbing.files import read_table, write_table
from pipeline.plumbing.hashing import SUMS, file_hash
from pipeline.plumbing.places import INPAINTED, REFERENCE, project_root

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["schedule", "iterations", "seconds"]
Times = list[tuple[str, int | None, float]]


@contextmanager
def seconds_of(output: Path) -> Iterator[Times]:
    """Yields a list of times, kept when the block ends without an error and `output` is made.

    A time has the schedule, the number of iterations and the seconds an image of a method whose
    results are in the folder; as in a table of scores, a baseline has its name and None.
    """
    import pandas as pd

    times: Times = []
    yield times
    if times:
        write_table(_file(output), pd.DataFrame(times, columns=COLUMNS))


def read_seconds(output: Path) -> "pd.DataFrame":
    """Returns the times of the results that lie in a stage's folder: COLUMNS, a row for each.

    No rows where they were not timed.
    """
    import pandas as pd

    known = (output / SUMS).is_file() and _file(output).is_file()
    return read_table(_file(output)) if known else pd.DataFrame(columns=COLUMNS, dtype=float)


def with_seconds(table: "pd.DataFrame") -> "pd.DataFrame":
    """Returns a table of scores with the column `seconds`, NaN for methods that were not timed.

    The table is returned as it is where no time is known of what lies in the stages' folders.
    """
    import pandas as pd

    # Equal fills of two schedules share one file of times, which names one of them.
    found = [read_seconds(REFERENCE)]
    for name in table["schedule"].unique():
        found.append(read_seconds(INPAINTED / name).assign(schedule=name))
    found = [times for times in found if len(times)]
    return table.merge(pd.concat(found), "left", COLUMNS[:2]) if found else table


def _file(output: Path) -> Path:
    """Returns the file of times of a folder, which holds the checksums of its content."""
    return project_root() / ".maskgit/seconds" / f"{file_hash(output / SUMS)}.csv"
