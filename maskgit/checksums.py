"""Checksums of files, in the form that `sha256sum --check` reads."""

import hashlib
from pathlib import Path

SUMS = "SHA256SUMS"  # of the files beside it, a line for each


def file_hash(path: Path) -> str:
    """Returns the sha256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def agrees_with_sums(path: Path) -> bool:
    """Returns whether SHA256SUMS beside a file has its checksum; without SHA256SUMS, True."""
    sums = path.with_name(SUMS)
    if not sums.is_file():
        return True
    lines = sums.read_text(encoding="utf-8", errors="replace").splitlines()
    digest = file_hash(path)
    return any(f"{digest} {mark}{path.name}" in lines for mark in " *")  # text and binary mode
