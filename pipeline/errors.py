"""Faults of the input: one line that names the fault and the mend, and an exit code of 1."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Something the person at the keyboard can mend; its message is all they need to see."""


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turns a UserError into one line on stderr and exit code 1, without a traceback."""
    try:
        yield
    except UserError as error:
        sys.exit(f"error: {error}")
