"""Tests of what the original lab's packages add are skipped where these are taken away."""

import pytest

from pipeline.plumbing.importers import IMPORTERS

needs_lab = pytest.mark.skipif(
    "vqgan" not in IMPORTERS, reason="the packages of the original lab are not here"
)
