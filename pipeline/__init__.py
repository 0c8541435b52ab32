"""The DVC stages around the maskgit library, one thin module each, and what they share."""

import os

# Torch's threads (GNU OpenMP) spin while they wait for work. By default they do so for so long
# that beside another busy process they wait for each other (docs/research-log/speed.md).
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from pipeline import extensions  # noqa: F401
