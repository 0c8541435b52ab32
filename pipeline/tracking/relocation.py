"""Corrects the absolute paths of artifacts in MLflow's store when the project was moved."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Columns with a place of artifacts: of an experiment's new runs, a run, a model, a version of one.
COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)


def follow_project(database: Path, folder: Path, experiments: Iterable[str]) -> None:
    """Makes a SQLite store find artifacts in `folder`, after the project was moved.

    The folder of before has the same name and is that of the named experiments. All records change
    in one transaction, deleted ones too. A run or model whose files lie only in the folder of
    before stays with them. One line on stderr says what changed.
    """
    with closing(sqlite3.connect(database, timeout=60)) as store, store:
        places = store.execute("SELECT name, artifact_location FROM experiments").fetchall()
        paths = [path_of(place) for name, place in places if name in experiments]
        for before in {holder(path, folder.name) for path in paths if path} - {None}:
            if before.resolve() == folder.resolve():
                continue
            changed = sum(move(store, *column, before, folder) for column in COLUMNS)
            print(
                f"MLflow: the project was moved; {changed} records name {folder}, not {before}",
                file=sys.stderr,
            )


def move(store: sqlite3.Connection, table: str, column: str, before: Path, folder: Path) -> int:
    """Changes the places of one column; returns how many."""
    changes = []
    for row, place in store.execute(f"SELECT rowid, {column} FROM {table}").fetchall():
        path = path_of(place)
        if path is None or not path.is_relative_to(before):
            continue
        new = folder / path.relative_to(before)
        if table == "experiments" or new.exists() or not path.exists():
            changes.append((new.as_uri() if place.startswith("file:") else str(new), row))
    store.executemany(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", changes)
    return len(changes)


def path_of(place: str | None) -> Path | None:
    """Returns the path that a place of artifacts names, None where it is not on this machine."""
    address = urlsplit(place or "")
    if address.scheme == "file":
        return Path(unquote(address.path))
    return Path(place) if place and not address.scheme else None


def holder(path: Path, name: str) -> Path | None:
    """Returns the folder of this name that a path is or lies in."""
    return next((folder for folder in (path, *path.parents) if folder.name == name), None)
