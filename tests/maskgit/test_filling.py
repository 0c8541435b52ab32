"""The Python call: pictures of every kind in, the same kind out, with the hole filled."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from maskgit import load
from pipeline.plumbing.places import MODEL_FOLDER
from tests.clone import ROOT


@pytest.fixture(scope="module")
def fill(small_models):
    return load(small_models / MODEL_FOLDER)


PIXELS = np.random.default_rng(0).integers(256, size=(70, 90, 3), dtype=np.uint8)
HOLE = np.zeros((70, 90), dtype=bool)
HOLE[20:40, 30:60] = True


@pytest.mark.parametrize("shape", [(70, 90), (70, 90, 1), (70, 90, 2), (70, 90, 3), (70, 90, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_array_comes_back_as_it_came_but_for_the_hole(fill, shape, dtype):
    image = np.random.default_rng(1).integers(np.iinfo(dtype).max, size=shape, dtype=dtype)
    filled = fill(image, HOLE)
    assert filled.dtype == dtype and filled.shape == shape
    assert np.array_equal(filled[~HOLE], image[~HOLE])
    assert not np.array_equal(filled[HOLE], image[HOLE])


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_an_image_of_pil_comes_back_as_one(fill, mode):
    image = Image.fromarray(PIXELS).convert(mode)
    filled = fill(image, Image.fromarray(HOLE))
    assert filled.mode == mode and filled.size == (90, 70)
    assert np.array_equal(np.asarray(filled)[~HOLE], np.asarray(image)[~HOLE])


def test_every_kind_of_mask_says_the_same(fill):
    expected = fill(PIXELS, HOLE)
    grey = np.where(HOLE, 200, 100).astype(np.uint8)
    for mask in (grey, Image.fromarray(grey), Image.fromarray(grey).convert("RGB")):
        assert np.array_equal(fill(PIXELS, mask), expected)


def test_what_is_left_out_is_as_the_model_was_tuned(fill):
    decoding = fill.config.decoding
    chosen = {"gamma": decoding.gamma, "iterations": decoding.iterations, "seed": decoding.seed}
    expected = fill(PIXELS, HOLE)
    assert np.array_equal(fill(PIXELS, HOLE, **chosen), expected)
    for change in ({"gamma": "entropic"}, {"iterations": 1}, {"seed": 5}):
        assert not np.array_equal(fill(PIXELS, HOLE, **change), expected), change


def test_variants_are_drawn_anew_and_the_first_is_the_call(fill):
    shares = []
    several = fill.variants(PIXELS, HOLE, 3, progress=shares.append)
    assert np.array_equal(several[0], fill(PIXELS, HOLE))
    assert len({each.tobytes() for each in several}) == 3
    assert np.array_equal(fill.variants(PIXELS, HOLE, 2)[1], several[1])
    assert shares == pytest.approx([1 / 3, 2 / 3, 1])


def test_progress_counts_windows(fill):
    hole = np.zeros((400, 400), dtype=bool)
    hole[100:103, 100:160] = True  # two windows that overlap
    shares = []
    fill(np.zeros((400, 400, 3), dtype=np.uint8), hole, progress=shares.append)
    assert shares == [0.5, 1.0]


def clear_grey():
    """Returns an image of PIL as it opens a 16-bit grey PNG with a transparent value."""
    image = Image.fromarray(np.zeros((70, 90), np.uint16))
    image.info["transparency"] = 7
    return image


FAULTS = {
    "another size": ((PIXELS, HOLE[:60]), {}, "the mask is 90 x 60, the picture 90 x 70"),
    "all hole": ((PIXELS, np.ones_like(HOLE)), {}, "the mask is all hole"),
    "floats": ((PIXELS / 255, HOLE), {}, "uint8 or uint16"),
    "a schedule": ((PIXELS, HOLE), {"gamma": "sine"}, "should be one of cosine"),
    "no step": ((PIXELS, HOLE), {"iterations": 0}, "greater than or equal to 1"),
    "a seed": ((PIXELS, HOLE), {"seed": -1}, "greater than or equal to 0"),
    "a transparent grey of 16 bits": ((clear_grey(), HOLE), {}, "maskgit.open_picture can"),
    "five channels": ((np.zeros((70, 90, 5), np.uint8), HOLE), {}, "1 to 4 channels"),
}


@pytest.mark.parametrize(("task", "options", "message"), FAULTS.values(), ids=FAULTS)
def test_what_does_not_fit_is_a_value_error(fill, task, options, message):
    with pytest.raises(ValueError, match=message):
        fill(*task, **options)


def test_the_docs_work_as_printed(small_models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cats-model").symlink_to(small_models / MODEL_FOLDER)
    Image.fromarray(PIXELS).save("photo.jpg")
    Image.fromarray(HOLE).save("mask.png")
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text(), re.DOTALL)
    names = {}
    for block in blocks:
        exec(block, names)
    assert len(blocks) >= 3
    filled, photo = (np.asarray(Image.open(name)) for name in ("filled.png", "photo.jpg"))
    assert np.array_equal(filled[~HOLE], photo[~HOLE])


def test_on_a_processor_nobody_waits_for_a_compiler():
    program = """
import sys
import numpy as np
from maskgit import load
fill = load("weights")
fill(np.zeros((64, 64, 3), np.uint8), np.eye(64, dtype=bool), iterations=1)
assert "torch._dynamo" not in sys.modules
"""
    without_gpu = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([sys.executable, "-c", program], env=without_gpu, cwd=ROOT, check=True)
