"""The DVC stages around the maskgit library, one thin module each, and what they share."""

import os

# How long torch's threads (GNU OpenMP) stay awake for the next piece of work: by default for so
# long that beside any other busy process they wait for each other (docs/speed.md).
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from pipeline import extensions  # noqa: F401
