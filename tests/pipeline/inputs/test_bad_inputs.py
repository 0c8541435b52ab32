"""Files are hostile: every bad input gets one line that names the fault, and does no harm.

The list below is read as a document, too: what a person gives, and the message that it gets.
"""

import io
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from typer.testing import CliRunner

from maskgit.tokenizer.registry import TOKENIZERS
from pipeline.cli import app
from pipeline.inputs.dataset import read_source
from pipeline.plumbing.errors import plain_errors
from pipeline.plumbing.params import load_params
from pipeline.plumbing.places import MODEL_FOLDER, project_root
from pipeline.reporting.extractor import load_extractor, load_lpips
from tests.clone import ROOT

# What the bad inputs are made of


def encode(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


PIXELS = np.random.default_rng(0).integers(256, size=(60, 80, 3), dtype=np.uint8)
PHOTO = encode(Image.fromarray(PIXELS))
SQUARE = np.pad(np.full((15, 20), 255, np.uint8), ((20, 25), (30, 30)))
HOLE = encode(Image.fromarray(SQUARE))


def png(width: int, height: int, pixels: bytes = b"", extra: tuple[bytes, bytes] = ()) -> bytes:
    """An RGB PNG that says what it likes of its size; `extra` is one more chunk, type and body."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), *([extra] if extra else []), (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def bomb(size: int) -> bytes:
    return zlib.compress(bytes(size), 9)


def scans(count: int) -> bytes:
    """A progressive JPEG that repeats its last scan: each costs a pass over all pixels."""
    data = encode(Image.fromarray(PIXELS), "JPEG", progressive=True)
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * count + data[-2:]


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def changed(data: bytes, offset: int, value: bytes) -> bytes:
    """A zip whose last entry says something else in the central directory."""
    start = data.rindex(b"PK\x01\x02") + offset
    return data[:start] + value + data[start + len(value) :]


def link_entry() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        info = zipfile.ZipInfo("a.png")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    return file.getvalue()


def weights(kind: str = "VQGAN", change: Callable[[dict], None] = lambda state: None, **sizes):
    """Writes the tokenizer anew: with another kind, other sizes, or changed weights."""

    def make() -> None:
        path = Path(MODEL_FILE)
        with safe_open(path, "pt") as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            config = json.loads(file.metadata()["model"])["config"]
        change(state)
        described = {"kind": kind, "config": config | sizes}
        save_file(state, path, {"model": json.dumps(described)})

    return make


class Runs:
    """Unpickling it makes a file."""

    def __reduce__(self):
        return open, ("harmed", "w")


# How a bad input is given, and where its message is found


def run(*arguments: str) -> str:
    """The one line on stderr of a command that must fail, without 'error: '."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit), result.exception
    return message(str(result.exception))


def message(line: str) -> str:
    assert line.startswith("error: ") and line.isprintable()
    return line.removeprefix("error: ")


def caught(call: Callable, *arguments) -> str:
    with pytest.raises(SystemExit) as stopped, plain_errors():
        call(*arguments)
    return message(str(stopped.value))


def fill(picture: str = "photo.png", mask: str = "hole.png", out: str = "out.png") -> str:
    said = run("inpaint", picture, "--mask", mask, "--out", out)
    assert not Path("out.png").exists()
    return said


def picture(data: bytes) -> str:
    Path("photo.png").write_bytes(data)
    return fill()


def mask(data: bytes) -> str:
    Path("hole.png").write_bytes(data)
    return fill()


def tokenizer(make: Callable[[], None]) -> str:
    make()
    return fill()


def source(data: bytes) -> str:
    """The first reason in the manifest, for a zip as data.source."""
    Path("source.zip").write_bytes(data)
    return next(image.reason for image in read_source(Path("source.zip"), 32, "crop", 16))


def no_source(name: str) -> str:
    return caught(lambda: list(read_source(project_root() / name, 32, "crop", 16)))


def no_zip(data: bytes) -> str:
    Path("source.zip").write_bytes(data)
    return no_source("source.zip")


def parquet(**columns: list) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, compression="none")
    return file.getvalue()


def no_parquet(data: bytes) -> str:
    Path("source.parquet").write_bytes(data)
    return no_source("source.parquet")


def row(data: bytes) -> str:
    """The first reason in the manifest, for a Parquet file as data.source."""
    Path("source.parquet").write_bytes(data)
    return next(image.reason for image in read_source(Path("source.parquet"), 32, "crop", 16))


def params(change: Callable[[str], str], name: str = "params.yaml") -> str:
    path = Path(name)
    path.write_text(change(path.read_text()))
    return caught(load_params)


def value(key: str, value: object) -> str:
    section, _, name = key.rpartition(".")
    values = yaml.safe_load(Path("params.yaml").read_text())
    (values[section] if section else values)[name] = value
    Path("params.yaml").write_text(yaml.safe_dump(values))
    return caught(load_params)


def fid_weights(name: str) -> str:
    return caught(load_extractor, "inception", name)


def pickled(load: Callable[[str], str]) -> str:
    Path("weights.pth").write_bytes(pickle.dumps(Runs()))
    return load("weights.pth")


def alexnet(name: str) -> str:
    return caught(load_lpips, name)


def link(target: str) -> str:
    """A folder with one picture that is a link."""
    Path("in").mkdir()
    Path("in/a.png").symlink_to(target)
    return fill("in")


def pipe(name: str) -> str:
    os.mkfifo(name)
    return name


def linked_source(target: str) -> str:
    Path("in").mkdir()
    Path("in/a.png").symlink_to(target)
    return next(image.reason for image in read_source(Path("in"), 32, "crop", 16))


def folder(names: list[str], data: bytes = PHOTO) -> str:
    Path("in").mkdir()
    for name in names:
        (Path("in") / name).write_bytes(data)
    return "in"


class Bad(NamedTuple):
    given: Callable[[], str]  # gives the bad input, returns what is said to it
    said: str  # from the beginning to the end, but for what ... stands for


def not_filled(reason: str, name: str = "photo.png") -> str:
    return f"not filled: {name}: {reason}"


def state(change: Callable[[dict], object]) -> Callable[[], None]:
    return weights(change=change)


MODEL_FILE = str(MODEL_FOLDER / "tokenizer.safetensors")
AGAIN = "; 'dvc repro' makes it again"
MASK = "the mask hole.png"

BAD = {
    # pictures
    "empty picture": Bad(lambda: picture(b""), not_filled("empty file")),
    "text as picture": Bad(lambda: picture(b"Dear diary"), not_filled("not an image")),
    "PostScript as picture": Bad(lambda: picture(b"%!PS-Adobe-3.0"), not_filled("not an image")),
    "cut picture": Bad(lambda: picture(PHOTO[:-3000]), not_filled("truncated file")),
    "100000 x 100000": Bad(
        lambda: picture(png(100_000, 100_000)), not_filled("larger than 100 megapixels")
    ),
    "sides of 31 bits": Bad(
        lambda: picture(png(2**31 - 1, 2**31 - 1)), not_filled("larger than 100 megapixels")
    ),
    "no width": Bad(lambda: picture(png(0, 9)), not_filled("not an image")),
    "bomb in a comment": Bad(
        lambda: picture(png(9, 9, bomb(300), (b"zTXt", b"a\0\0" + bomb(10**8)))),
        not_filled("damaged image"),
    ),
    "bomb in a profile": Bad(
        lambda: picture(png(9, 9, bomb(300), (b"iCCP", b"a\0\0" + bomb(10**8)))),
        not_filled("damaged image"),
    ),
    "many scans": Bad(lambda: picture(scans(500)), not_filled("a JPEG of over 100 scans")),
    "32-bit grey": Bad(
        lambda: picture(encode(Image.new("I", (80, 60)), "TIFF")),
        not_filled("TIFF with 32-bit pixels; save it with 8 or 16"),
    ),
    "pipe as picture": Bad(lambda: fill(pipe("pipe.png")), "pipe.png is not a regular file"),
    "device as picture": Bad(lambda: fill("/dev/zero"), "/dev/zero is not a regular file"),
    "no such picture": Bad(lambda: fill("none.png"), "none.png does not exist"),
    "a name too long": Bad(lambda: fill("a" * 300), "aaa...: File name too long"),
    "a name with escapes": Bad(
        lambda: fill("\x1b[2J\nerror: fine"), "\\x1b[2J\\nerror: fine does not exist"
    ),
    "a name that is no UTF-8": Bad(lambda: fill("\udce9.png"), "\\udce9.png does not exist"),
    "a bad file called newline": Bad(
        lambda: fill(folder(["a\nb.png"], b"?")), not_filled("not an image", "in/a\\nb.png")
    ),
    "a link that leads out": Bad(
        lambda: link("../photo.png"), not_filled("link that leads out of the source", "in/a.png")
    ),
    "a link to itself": Bad(lambda: link("a.png"), not_filled("cannot be read: ...", "in/a.png")),
    "a link to nothing": Bad(
        lambda: link("b.png"), not_filled("cannot be read: No such file or directory", "in/a.png")
    ),
    "two of a name": Bad(
        lambda: fill(folder(["a.png", "a.bmp"])),
        "in: 2 pictures are called 'a'; results would collide",
    ),
    "a folder without pictures": Bad(lambda: fill(folder([])), "in: no picture in it (.jpg ...)"),
    "a result on its picture": Bad(
        lambda: fill(folder(["a.png"]), out="in"),
        "in/a.png would be overwritten; name another --out",
    ),
    "masks on their pictures": Bad(
        lambda: run("mask", folder(["a.png"]), "--out", "in"),
        "in/a.png would be overwritten; name another --out",
    ),
    "a file as folder of masks": Bad(
        lambda: run("mask", "photo.png", "--out", "hole.png"),
        "...hole.png is a file; name a folder for the results",
    ),
    "a result in JPEG": Bad(
        lambda: fill(out="a.jpg"),
        "a.jpg: results are PNG, since JPEG would change the known pixels; "
        "name a file that ends in .png, or a folder that exists",
    ),
    # masks
    "empty mask": Bad(lambda: mask(b""), not_filled(f"{MASK}: empty file")),
    "text as mask": Bad(lambda: mask(b"white"), not_filled(f"{MASK}: not an image")),
    "cut mask": Bad(lambda: mask(HOLE[:-30]), not_filled(f"{MASK}: truncated file")),
    "mask of another size": Bad(
        lambda: mask(encode(Image.new("L", (8, 9)))),
        not_filled(f"{MASK} is 8 x 9, the picture 80 x 60"),
    ),
    "mask all white": Bad(
        lambda: mask(encode(Image.new("1", (80, 60), 1))),
        not_filled(f"{MASK} is all hole; white is filled, black kept"),
    ),
    "mask all black": Bad(
        lambda: mask(encode(Image.new("1", (80, 60)))),
        not_filled(f"{MASK} marks nothing; white is filled, black kept"),
    ),
    "pipe as mask": Bad(lambda: fill(mask=pipe("pipe.png")), "pipe.png is not a regular file"),
    "no such mask": Bad(
        lambda: fill(mask="none.png"), "none.png does not exist; 'maskgit mask' draws masks"
    ),
    "no mask of that name": Bad(
        lambda: fill(mask=folder(["other.png"])), "in: no mask for photo.png"
    ),
    # weights
    "no weights": Bad(
        lambda: tokenizer(Path(MODEL_FILE).unlink),
        f"{MODEL_FILE} does not exist{AGAIN}",
    ),
    "empty weights": Bad(
        lambda: tokenizer(lambda: Path(MODEL_FILE).write_bytes(b"")),
        f"{MODEL_FILE} cannot be read (...){AGAIN}",
    ),
    "cut weights": Bad(
        lambda: tokenizer(lambda: os.truncate(MODEL_FILE, 9000)),
        f"{MODEL_FILE} cannot be read (...){AGAIN}",
    ),
    "a header of 2**60 bytes": Bad(
        lambda: tokenizer(lambda: Path(MODEL_FILE).write_bytes(struct.pack("<Q", 2**60) + b"{}")),
        f"{MODEL_FILE} cannot be read (...){AGAIN}",
    ),
    "a pickle as weights": Bad(
        lambda: tokenizer(lambda: Path(MODEL_FILE).write_bytes(pickle.dumps(Runs()))),
        f"{MODEL_FILE} cannot be read (...){AGAIN}",
    ),
    "weights of another kind": Bad(
        lambda: tokenizer(weights(kind="MaskedTransformer")),
        f"{MODEL_FILE} is not a {' or '.join(TOKENIZERS)} checkpoint of this project",
    ),
    "weights without description": Bad(
        lambda: tokenizer(lambda: save_file({"a": torch.zeros(1)}, MODEL_FILE)),
        f"{MODEL_FILE} is not a {' or '.join(TOKENIZERS)} checkpoint of this project",
    ),
    "a description that is no JSON": Bad(
        lambda: tokenizer(lambda: save_file({"a": torch.zeros(1)}, MODEL_FILE, {"model": "{"})),
        f"{MODEL_FILE} cannot be read (...){AGAIN}",
    ),
    "a billion channels": Bad(
        lambda: tokenizer(weights(channels=10**9)),
        f"{MODEL_FILE} has sizes beyond any model of this project{AGAIN}",
    ),
    "a million blocks": Bad(
        lambda: tokenizer(weights(decoder_blocks=10**6)),
        f"{MODEL_FILE} has sizes beyond any model of this project{AGAIN}",
    ),
    "a list of a thousand sizes": Bad(
        lambda: tokenizer(weights(channels=[32] * 1000)),
        f"{MODEL_FILE} has sizes beyond any model of this project{AGAIN}",
    ),
    "lists in lists": Bad(
        lambda: tokenizer(weights(channels=json.loads("[" * 900 + "]" * 900))),
        f"{MODEL_FILE} has sizes beyond any model of this project{AGAIN}",
    ),
    "sizes that are words": Bad(
        lambda: tokenizer(weights(channels="many")),
        f"{MODEL_FILE} has sizes that make no VQGAN{AGAIN}",
    ),
    "sizes of something else": Bad(
        lambda: tokenizer(weights(heads=3)), f"{MODEL_FILE} has sizes that make no VQGAN{AGAIN}"
    ),
    "more channels than weights": Bad(
        lambda: tokenizer(weights(channels=8192)),
        f"{MODEL_FILE} does not fit: ... should be float32 (...), but is float32 (...); ...{AGAIN}",
    ),
    "weights too few": Bad(
        lambda: tokenizer(state(lambda s: s.pop("codebook.embedding"))),
        f"{MODEL_FILE} does not fit: codebook.embedding, float32 (32, 4), is missing{AGAIN}",
    ),
    "weights too many": Bad(
        lambda: tokenizer(state(lambda s: s.update(more=torch.zeros(1)))),
        f"{MODEL_FILE} does not fit: 'more' is not part of a VQGAN{AGAIN}",
    ),
    "weights of another type": Bad(
        lambda: tokenizer(state(lambda s: s.update(s | {"codebook.count": torch.ones(32).int()}))),
        f"{MODEL_FILE} does not fit: codebook.count should be float32 (32,), but is int32 (32,)"
        f"{AGAIN}",
    ),
    "weights that are not finite": Bad(
        lambda: tokenizer(state(lambda s: s["codebook.total"].fill_(float("nan")))),
        f"{MODEL_FILE} does not fit: codebook.total holds values that are not finite numbers"
        f"{AGAIN}",
    ),
    "a pickle as FID weights": Bad(
        lambda: pickled(fid_weights),
        "score.weights: ...weights.pth is not the official pt_inception...",
    ),
    "a pickle as AlexNet": Bad(
        lambda: pickled(alexnet),
        "score.lpips: ...weights.pth is not the official alexnet-owt-7be5be79.pth: ...",
    ),
    "no AlexNet": Bad(lambda: alexnet("none.pth"), "score.lpips: there is no file ...none.pth"),
    "no FID weights": Bad(
        lambda: fid_weights("none.pth"), "score.weights: there is no file ...none.pth"
    ),
    "pipe as FID weights": Bad(
        lambda: fid_weights(pipe("pipe.pth")), "score.weights: there is no file ...pipe.pth"
    ),
    # sources
    "no such source": Bad(lambda: no_source("none"), "...none does not exist: expected a ..."),
    "a picture as source": Bad(
        lambda: no_source("photo.png"), "...photo.png is neither a folder nor a zip: expected ..."
    ),
    "pipe as source": Bad(
        lambda: no_source(pipe("pipe")), "...pipe is not a regular file: expected ..."
    ),
    "empty zip": Bad(lambda: no_zip(zipped({})), "...source.zip holds no image files (...): ..."),
    "no zip": Bad(lambda: no_zip(b"PK"), "...source.zip is a corrupt zip (...): fetch it again"),
    "cut zip": Bad(
        lambda: no_zip(zipped({"a.png": PHOTO})[:-30]),
        "...source.zip is a corrupt zip (...): fetch it again",
    ),
    "no Parquet": Bad(
        lambda: no_parquet(b"PAR1"),
        "...source.parquet is a corrupt Parquet file (...): fetch it again",
    ),
    "cut Parquet": Bad(
        lambda: no_parquet(parquet(image=[PHOTO])[:-30]),
        "...source.parquet is a corrupt Parquet file (...): fetch it again",
    ),
    "Parquet without images": Bad(
        lambda: no_parquet(parquet(label=[1])),
        "...source.parquet: which column holds the images? There is none",
    ),
    "Parquet with two columns of bytes": Bad(
        lambda: no_parquet(parquet(before=[PHOTO], after=[PHOTO])),
        "...source.parquet: which column holds the images? There is more than one: before, after; "
        "call it image",
    ),
    "Parquet row without bytes": Bad(
        lambda: row(parquet(image=[None, PHOTO])), "no bytes in its row"
    ),
    "Parquet row that is no picture": Bad(
        lambda: row(parquet(image=[PHOTO]).replace(PHOTO[:64], bytes([255]) * 64)),
        "not an image",
    ),
    "Parquet with a page of no sense": Bad(
        lambda: row(b"PAR1" + bytes([255]) * 60 + parquet(image=[PHOTO])[64:]),
        "damaged in the Parquet file (...)",
    ),
    "zip that climbs out": Bad(
        lambda: source(zipped({"../a.png": PHOTO})), "path that leads out of the zip"
    ),
    "zip with an absolute path": Bad(
        lambda: source(zipped({"/a.png": PHOTO})), "path that leads out of the zip"
    ),
    "zip with a drive": Bad(
        lambda: source(zipped({"C:\\a.png": PHOTO})), "path that leads out of the zip"
    ),
    "zip with a link": Bad(lambda: source(link_entry()), "link in the zip"),
    "encrypted zip": Bad(
        lambda: source(changed(zipped({"a.png": PHOTO}), 8, b"\1\0")), "encrypted"
    ),
    "zip bomb": Bad(lambda: source(zipped({"a.png": bytes(101 * 10**6)})), "larger than 100 MB"),
    "zip bomb that lies": Bad(
        lambda: source(changed(zipped({"a.png": bytes(10**8)}), 24, struct.pack("<I", 1000))),
        "damaged in the zip",
    ),
    "bzip2 bomb": Bad(
        lambda: source(zipped({"a.png": bytes(10**7)}, zipfile.ZIP_BZIP2)),
        "packed with bzip2; use deflate",
    ),
    "zip in a zip": Bad(
        lambda: source(zipped({"a.zip": zipped({"a.png": PHOTO}), "b.png": PHOTO})),
        "not an image file",
    ),
    "entries that overlap": Bad(
        lambda: source(changed(zipped({"a.png": PHOTO, "b.png": PHOTO}), 42, struct.pack("<I", 9))),
        "overlaps another file of the zip",
    ),
    "zip with a wrong checksum": Bad(
        lambda: source(changed(zipped({"a.png": PHOTO}), 16, bytes(4))), "damaged in the zip"
    ),
    "a source's link that leads out": Bad(
        lambda: linked_source("../photo.png"), "link that leads out of the source"
    ),
    # parameters
    "no parameters": Bad(
        lambda: params(lambda text: ""), "params.yaml: expected sections like 'data:' and 'train:'"
    ),
    "YAML that runs code": Bad(
        lambda: params(lambda text: "gamma: !!python/object/apply:os.system [touch harmed]"),
        "params.yaml cannot be read: could not determine a constructor for the tag ...",
    ),
    "a billion laughs": Bad(
        lambda: params(lambda text: "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]"),
        "params.yaml cannot be read: aliases (*) are not supported",
    ),
    "YAML nested deeply": Bad(
        lambda: params(lambda text: "[" * 5000),
        "params.yaml cannot be read: ... too deep a nesting",
    ),
    "YAML with NUL": Bad(
        lambda: params(lambda text: text + "\0"), "params.yaml cannot be read: ...#x0000..."
    ),
    "a key twice": Bad(
        lambda: params(lambda text: text + "seed: 1\n"),
        "params.yaml cannot be read: 'seed' stands there twice",
    ),
    "a number that is none": Bad(
        lambda: params(lambda text: "seed: !!int x"),
        "params.yaml cannot be read: invalid ...",
    ),
    "a megabyte of parameters": Bad(
        lambda: params(lambda text: text + "#" * 10**6),
        "params.yaml cannot be read: larger than a megabyte",
    ),
    "an unknown key": Bad(
        lambda: value("train.sped", 3),
        "params.yaml: 'train.sped' is not a parameter; params.yaml in the repository ...",
    ),
    "a list as preset": Bad(
        lambda: value("preset", ["tiny"]),
        "params.yaml: preset: should be one of tiny, ..., but it is ['tiny']",
    ),
    "yes as number": Bad(
        lambda: value("train.steps", True),
        "params.yaml: train.steps: should be neither true nor false, but it is True",
    ),
    "a model of terabytes": Bad(
        lambda: value("train.dim", 10**9),
        "params.yaml: train.dim: input should be less than or equal to 16384, but it is 1000000000",
    ),
    "not a number": Bad(
        lambda: value("train.learning_rate", float("nan")),
        "params.yaml: train.learning_rate: input should be ..., but it is nan",
    ),
    "a value of a megabyte": Bad(
        lambda: value("gamma", "x" * 900_000),
        "params.yaml: gamma: should be one of ..., but it is 'xxxxxxxxxxxx...xxxxxxxxxxxxx'",
    ),
    "a preset that is no section": Bad(
        lambda: params(lambda text: "laptop: [1]", "presets.yaml"),
        "presets.yaml: laptop: expected 'key: value', but it is [1]",
    ),
    # tables
    "a picture as table": Bad(
        lambda: run("scores", "photo.png"),
        "photo.png is no table of scores; 'dvc repro' makes it again",
    ),
}


@pytest.fixture
def project(small_models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    shutil.copytree(small_models, tmp_path, dirs_exist_ok=True)
    Path("photo.png").write_bytes(PHOTO)
    Path("hole.png").write_bytes(HOLE)
    return tmp_path


def matches(pattern: str, text: str) -> bool:
    """Whether the text is the pattern, in which '...' stands for anything."""
    first, *others = pattern.split("...")
    if not others:
        return text == pattern
    if not text.startswith(first) or not text.endswith(others[-1]):
        return False
    at = len(first)
    for part in others[:-1]:
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return at <= len(text) - len(others[-1])


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_input_gets_its_message(project, bad):
    said = bad.given()
    assert matches(bad.said, said), said
    assert not Path("harmed").exists()


def test_the_good_inputs_that_the_bad_ones_vary_are_filled(project):
    arguments = ["inpaint", "photo.png", "--mask", "hole.png", "--out", "out.png"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    filled = np.asarray(Image.open("out.png"))
    assert np.array_equal(filled[SQUARE == 0], PIXELS[SQUARE == 0])


@pytest.mark.parametrize("name", ["text as picture", "a billion channels"])
def test_a_real_command_says_one_line_and_exits_with_1(project, name):
    BAD[name].given()
    arguments = [sys.executable, "-m", "pipeline", "inpaint"]
    result = subprocess.run(
        [*arguments, "photo.png", "--mask", "hole.png", "--out", "out.png"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1 and "Traceback" not in result.stderr
    said = result.stderr.rpartition("\r")[2].strip().splitlines()[-1]  # after the progress bar
    assert matches("error: " + BAD[name].said, said)
