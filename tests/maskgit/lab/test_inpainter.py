"""The laws of inpainting hold for the lab's networks under MaskGIT's decoder, too."""

from inspect import signature

import pytest

from maskgit.inpainting.inpainter import Inpainter
from tests.maskgit.inpainting import test_inpainter as laws


@pytest.fixture(scope="module")
def inpainter(lab_models):
    return Inpainter(*lab_models)


globals().update(
    {
        name: law
        for name, law in vars(laws).items()
        if name.startswith("test_") and "inpainter" in signature(law).parameters
    }
)
