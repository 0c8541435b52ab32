"""Bytes and values that nobody foresaw: a result, or one line that names the fault.

HYPOTHESIS_PROFILE=long tries a hundred times as many.
"""

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save

from maskgit.data.image_files import UnusableImage, decode_image, decode_picture, encode_png
from maskgit.tokenizer.vqgan import VQGAN
from pipeline.bench.fuzz import fuzz, sound_files
from pipeline.commands.photos import Job, load_job
from pipeline.inputs.dataset import read_source
from pipeline.models.checkpoints import load_model
from pipeline.plumbing.errors import UserError, printable
from pipeline.plumbing.params import load_params
from tests.clone import ROOT

TEXTS = {name: (ROOT / name).read_bytes() for name in ("params.yaml", "presets.yaml")}
PARAMS = yaml.safe_load(TEXTS["params.yaml"])

often = settings(
    max_examples=10_000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 100,
    suppress_health_check=list(HealthCheck),
    database=None,
)


def one_line(error: Exception) -> None:
    said = printable(str(error))
    assert 0 < len(said) < 2000 and said.isprintable()


@st.composite
def damaged(draw, files: st.SearchStrategy[bytes]) -> bytes:
    """One of the files with bytes replaced, left out or put in, or cut."""
    data = draw(files)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        stop = start + draw(st.integers(0, 8))
        data = data[:start] + draw(st.binary(max_size=8)) + data[stop:]
    return data[: draw(st.just(len(data)) | st.integers(0, len(data)))]


# Pictures and masks

NOISE = np.random.default_rng(0).integers(256, size=(12, 10, 3), dtype=np.uint8)


def pictures() -> dict[str, bytes]:
    files = {}
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"):
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK"):
            file = io.BytesIO()
            try:
                Image.fromarray(NOISE).convert(mode).save(file, kind)
            except (OSError, ValueError):  # a format that has no such pixels
                continue
            files[f"{kind} {mode}"] = file.getvalue()
    for compression in ("tiff_lzw", "tiff_deflate", "jpeg", "packbits"):
        file = io.BytesIO()
        Image.fromarray(NOISE).save(file, "TIFF", compression=compression)
        files[compression] = file.getvalue()
    file = io.BytesIO()
    Image.fromarray(NOISE).save(file, "JPEG", progressive=True, exif=b"Exif\0\0II*\0\x08\0\0\0")
    files["progressive"] = file.getvalue()
    for channels in (1, 3):
        deep = NOISE[..., :channels].astype(np.uint16) * 200
        files[f"16 bits x {channels}"] = encode_png(deep)
    return files | {f"sound file {i}": data for i, data in enumerate(sound_files())}


PICTURES = pictures()
HOLE = encode_png(np.pad(np.full((4, 4), 255, np.uint8), ((4, 4), (3, 3))))
bad_pictures = damaged(st.sampled_from(list(PICTURES.values()))) | st.binary(max_size=99)


@often
@given(bad_pictures)
def test_pictures(data):
    try:
        picture = decode_picture(data)
    except UnusableImage as error:
        one_line(error)
        assert len(str(error)) < 60
    else:
        assert picture.rgb.dtype == np.uint8 and picture.own.shape[:2] == picture.rgb.shape[:2]
        assert np.array_equal(picture.rgb, decode_image(data))
        assert np.array_equal(decode_picture(encode_png(picture.own)).own, picture.own)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@often
@given(data=bad_pictures | damaged(st.just(HOLE)))
def test_masks(folder, data):
    picture, mask = folder / "picture.png", folder / "mask.png"
    picture.write_bytes(PICTURES["PNG RGB"])
    mask.write_bytes(data)
    try:
        hole = load_job(Job(picture, mask, folder / "out.png", picture, mask)).mask.hole
    except UnusableImage as error:
        one_line(error)
    else:
        assert hole.shape == (12, 10) and hole.dtype == bool and hole.any() and not hole.all()


def test_the_printed_command_tries_files_by_number():
    assert fuzz(50).startswith("50 files: ")


# Sources


def zipped(method: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name in ("PNG RGB", "JPEG L", "GIF P"):
            archive.writestr(f"cats/{name[:3]}.png", PICTURES[name])
    return file.getvalue()


METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)


@often
@given(data=damaged(st.sampled_from([zipped(method) for method in METHODS])))
def test_zips(folder, data):
    (folder / "cats.zip").write_bytes(data)
    try:
        images = list(read_source(folder / "cats.zip", 8, "crop", 1))
    except UserError as error:
        one_line(error)
    else:
        assert all((image.pixels is None) == bool(image.reason) for image in images)


# Weights

SIZES = {"channels": 16, "encoder_blocks": 0, "decoder_blocks": 0, "latent_dim": 2}
SIZES["codebook_size"] = 4


def checkpoint(state: dict, described: object) -> bytes:
    return save(state, {"model": json.dumps(described)})


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    return VQGAN(**SIZES).state_dict()


def try_to_load(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        load_model(path, [VQGAN])
    except UserError as error:
        one_line(error)


@often
@given(data=st.data())
def test_weights(folder, state, data):
    whole = checkpoint(state, {"kind": "VQGAN", "config": SIZES})
    header = 8 + int.from_bytes(whole[:8], "little")
    start = data.draw(st.integers(0, header) | st.integers(0, len(whole)))
    stop = start + data.draw(st.integers(0, 8))
    broken = whole[:start] + data.draw(st.binary(max_size=8)) + whole[stop:]
    try_to_load(folder / "model.safetensors", broken)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
some_sizes = st.dictionaries(
    st.sampled_from([*SIZES, "heads"]), anything | st.integers(-70000, 70000), max_size=3
)


@often
@given(described=anything | some_sizes.map(lambda sizes: {"kind": "VQGAN", "config": sizes}))
def test_what_weights_say_of_themselves(folder, state, described):
    if isinstance(described, dict) and isinstance(described.get("config"), dict):
        described["config"] = SIZES | described["config"]
    try_to_load(folder / "model.safetensors", checkpoint(state, described))


# Parameters


def keys(values: dict, above: tuple[str, ...] = ()):
    for key, value in values.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from keys(value, (*above, key))


def try_params(folder: Path, texts: dict[str, bytes]) -> None:
    for name, text in (TEXTS | texts).items():
        (folder / name).write_bytes(text)
    try:
        load_params(folder)
    except UserError as error:
        one_line(error)


@often
@given(key=st.sampled_from(list(keys(PARAMS))), value=anything | st.dates() | st.binary(max_size=5))
def test_any_value_of_any_parameter(folder, key, value):
    values = yaml.safe_load(TEXTS["params.yaml"])
    inner = values
    for part in key[:-1]:
        inner = inner[part]
    inner[key[-1]] = value
    text = yaml.safe_dump(values).encode(errors="surrogatepass")
    try_params(folder, {"params.yaml": text})


snippets = st.sampled_from(
    b"*a|&a |!!int |!!set |!!float |!!timestamp |!!bool |!!null |!!binary |<<: |? |: |- |{|[|---\n"
    b"|%TAG |=|'|\"|\n".split(b"|")
)


@often
@given(name=st.sampled_from(list(TEXTS)), data=st.data())
def test_texts_of_parameters(folder, name, data):
    text = TEXTS[name]
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        stop = start + data.draw(st.integers(0, 12))
        text = text[:start] + data.draw(snippets | st.binary(max_size=6)) + text[stop:]
    try_params(folder, {name: text})
