"""Hashes files and folders, and checks files against the sums beside them."""

import hashlib
from pathlib import Path

from pathspec import GitIgnoreSpec

from maskgit.checksums import SUMS, agrees_with_sums, file_hash
from pipeline.plumbing.errors import UserError


def write_sums(folder: Path) -> None:
    """Writes SHA256SUMS of a folder's files, as in every folder that a stage makes."""
    files = (file for file in files_in(folder) if file != folder / SUMS)
    sums = "".join(f"{file_hash(f)}  {f.relative_to(folder).as_posix()}\n" for f in files)
    (folder / SUMS).write_text(sums, encoding="utf-8")


def verify_checksum(path: Path) -> None:
    """Checks a file against SHA256SUMS beside it. Raises UserError if it is missing or differs.

    A file without SHA256SUMS beside it passes.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist; run 'dvc repro' to make it")
    if not agrees_with_sums(path):
        raise UserError(f"{path} is damaged: its checksum differs; 'dvc repro' makes it again")


def files_in(folder: Path) -> list[Path]:
    """Returns all files at any depth, sorted, without those that `.dvcignore` excludes."""
    rules = Path(".dvcignore")
    hidden = GitIgnoreSpec.from_lines(
        rules.read_text(encoding="utf-8").splitlines() if rules.is_file() else []
    )
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(p for p in found if not hidden.match_file(p.relative_to(folder).as_posix()))


def content_hash(path: Path) -> str:
    """Returns the sha256 of a file, or of the names and contents of a folder's files, in hex."""
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else files_in(path):
        digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        digest.update(bytes.fromhex(file_hash(file)))
    return digest.hexdigest()
