"""The same bytes are the same picture for every way in, and come back as they came."""

import base64
import io
import re
import struct
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from maskgit import load, open_picture
from maskgit.data.image_files import Picture, decode_picture, encode_png
from maskgit.data.mask_sets import fit_mask
from pipeline.cli import app
from pipeline.commands.folders import file_warnings
from pipeline.commands.folders import load as load_for_score
from pipeline.inputs.dataset import read_lab_masks, read_source
from pipeline.inputs.images import File, read_mask
from pipeline.page.session import fill_photo_as, hole_to_fill, open_photo
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.places import MODEL_FOLDER
from tests.clone import ROOT

rng = np.random.default_rng(0)
RGBA = rng.integers(256, size=(64, 64, 4), dtype=np.uint8)
RGBA[..., 3] |= 1  # nothing wholly clear: premultiplied colours would be lost
DEEP = rng.integers(2**16, size=(64, 64, 4), dtype=np.uint16)
HOLE = np.zeros((64, 64), dtype=np.uint8)
HOLE[10:30, 20:50] = 255
PROFILE = b"a colour profile of no meaning"


def encode(pixels, kind="PNG", mode=None, **options):
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, kind, **options)
    return file.getvalue()


def turned(pixels, kind="PNG", **options):
    """A file that lies on its side, as a telephone stores it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(np.rot90(pixels), kind, exif=exif, **options)


def tiff(pixels, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def called_lzw(data):
    """A TIFF file with LZW in its tag Compression; its samples are never reached."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        place = file.pages.first.tags["Compression"].valueoffset
    return data[:place] + struct.pack("<H", 5) + data[place + 2 :]


def by_opencv(pixels, ending):
    return cv2.imencode(ending, pixels[..., ::-1])[1].tobytes()


def as_pillow(data, mode):
    """What Pillow makes of a file whose pixels it alone reads, as JPEG."""
    return np.atleast_3d(np.asarray(Image.open(io.BytesIO(data)).convert(mode)))


def frames(kind):
    """A file of two frames; the first is `COLOURS`."""
    file = io.BytesIO()
    first, second = Image.fromarray(COLOURS), Image.new("RGB", (64, 64), "blue")
    first.save(file, kind, save_all=True, append_images=[second])
    return file.getvalue()


COLOURS = RGBA[..., :3]
CMYK = DEEP.astype(np.uint32)
PREMULTIPLIED = DEEP.copy()
PREMULTIPLIED[..., 3] |= 0xF000
SHARES = PREMULTIPLIED.astype(np.uint64)
SHARES[..., :3] = (SHARES[..., :3] * SHARES[..., 3:] + 32767) // 65535
LIGHT = 65535 - CMYK[..., :3]
FROM_CMYK = ((LIGHT * (65535 - CMYK[..., 3:]) + 32767) // 65535).astype(np.uint16)
FLOATS = DEEP[..., :3].astype(np.float32) / 65535
JPEG = encode(COLOURS, "JPEG")
CMYK_JPEG = encode(COLOURS, "JPEG", "CMYK", icc_profile=PROFILE)
PALETTE = encode(RGBA[..., 0] // 64 * 64, mode="P")
AVIF = encode(COLOURS, "AVIF")
DEEP_JP2 = by_opencv(DEEP[..., :3], ".jp2")  # with losses

# what is in the file, and the values that it means; None where it is refused
FILES = {
    "RGB, 8 bits": (encode(COLOURS), COLOURS),
    "the same with a colour profile": (encode(COLOURS, icc_profile=PROFILE), COLOURS),
    "the same, to be turned by EXIF": (turned(COLOURS), COLOURS),
    "grey, 8 bits": (encode(RGBA[..., 0]), RGBA[..., :1]),
    "RGB + alpha, 8 bits": (encode(RGBA), RGBA),
    "grey + alpha, 8 bits": (encode_png(RGBA[..., 2:]), RGBA[..., 2:]),
    "palette": (PALETTE, as_pillow(PALETTE, "RGB")),
    "palette with a transparent colour": (
        encode(HOLE, mode="P", transparency=0),
        np.repeat(HOLE[..., None], 4, 2),
    ),
    "one bit": (encode(HOLE > 0), HOLE[..., None]),
    "grey, 16 bits": (encode_png(DEEP[..., :1]), DEEP[..., :1]),
    "grey + alpha, 16 bits": (encode_png(DEEP[..., 2:]), DEEP[..., 2:]),
    "RGB, 16 bits, with a profile": (encode_png(DEEP[..., :3], PROFILE), DEEP[..., :3]),
    "RGB + alpha, 16 bits": (encode_png(DEEP), DEEP),
    "JPEG": (JPEG, as_pillow(JPEG, "RGB")),
    "JPEG to be turned by EXIF": (
        turned(COLOURS, "JPEG"),
        np.rot90(as_pillow(encode(np.rot90(COLOURS), "JPEG"), "RGB"), -1),
    ),
    "JPEG with a film behind it": (JPEG + b"\xff\xda" * 500, as_pillow(JPEG, "RGB")),
    "JPEG in CMYK, with a profile": (CMYK_JPEG, as_pillow(CMYK_JPEG, "RGB")),
    "AVIF": (AVIF, as_pillow(AVIF, "RGB")),
    "JPEG 2000, 8 bits": (encode(COLOURS, "JPEG2000", irreversible=False), COLOURS),
    "JPEG 2000, 16 bits": (
        DEEP_JP2,
        cv2.imdecode(np.frombuffer(DEEP_JP2, np.uint8), cv2.IMREAD_UNCHANGED)[..., ::-1],
    ),
    "animated GIF": (frames("GIF"), as_pillow(frames("GIF"), "RGB")),
    "animated WebP": (frames("WEBP"), as_pillow(frames("WEBP"), "RGB")),
    "animated PNG": (frames("PNG"), COLOURS),
    "TIFF of several pages": (frames("TIFF"), COLOURS),
    "TIFF, RGB, 8 bits, to be turned": (
        tiff(np.rot90(COLOURS), photometric="rgb", extratags=[(274, "H", 1, 6, True)]),
        COLOURS,
    ),
    "TIFF, RGB, 16 bits, to be turned": (
        tiff(np.rot90(DEEP[..., :3]), photometric="rgb", extratags=[(274, "H", 1, 6, True)]),
        DEEP[..., :3],
    ),
    "TIFF, RGB, 16 bits, LZW": (by_opencv(DEEP[..., :3], ".tif"), DEEP[..., :3]),
    "TIFF, grey, 16 bits, 0 is white": (
        tiff(65535 - DEEP[..., 0], photometric="miniswhite"),
        DEEP[..., :1],
    ),
    "TIFF, grey + alpha, 16 bits": (
        tiff(
            DEEP[..., 2:],
            photometric="minisblack",
            planarconfig="contig",
            extrasamples=["unassalpha"],
            compression="zlib",
        ),
        DEEP[..., 2:],
    ),
    "TIFF, RGB, 16 bits, planar": (
        tiff(np.moveaxis(DEEP[..., :3], 2, 0), photometric="rgb", planarconfig="separate"),
        DEEP[..., :3],
    ),
    "TIFF, RGB + premultiplied alpha, 16 bits": (
        tiff(SHARES.astype(np.uint16), photometric="rgb", extrasamples=["assocalpha"]),
        PREMULTIPLIED,
    ),
    "TIFF, CMYK, 16 bits": (tiff(DEEP, photometric="separated"), FROM_CMYK),
    "TIFF, floats from 0 to 1": (tiff(FLOATS, photometric="rgb"), DEEP[..., :3]),
    "TIFF, other floats": (tiff(FLOATS * 2, photometric="rgb"), None),
    "TIFF, 32 bits": (tiff(DEEP[..., 0].astype(np.uint32), photometric="minisblack"), None),
    "TIFF, planar, 16 bits, LZW": (
        called_lzw(
            tiff(np.moveaxis(DEEP[..., :3], 2, 0), photometric="rgb", planarconfig="separate")
        ),
        None,
    ),
    "TIFF, Lab": (tiff(COLOURS, photometric="cielab"), None),
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), None),
}

# what is in a mask, and what of it is the hole: HOLE; None where it is refused
RED = HOLE[..., None] * np.array([1, 0, 0], dtype=np.uint8)
ONES = HOLE // 255
ERASED = RGBA.copy()
ERASED[..., 3] = 255 - HOLE
MASKS = {
    "white on black": (encode(HOLE), "white"),
    "grey: from 128 of 255 on": (encode(np.where(HOLE, 128, 127).astype(np.uint8)), "bright"),
    "16 bits": (encode_png(HOLE[..., None] * np.uint16(257)), "white"),
    "one bit": (encode(HOLE > 0), "white"),
    "to be turned by EXIF": (turned(HOLE), "white"),
    "values 0 and 1": (encode(ONES), "1"),
    "values 0 and 1, 16 bits": (encode_png(ONES[..., None].astype(np.uint16)), "1"),
    "values 0 and 1, colours": (encode(np.repeat(ONES[..., None], 3, 2)), "1"),
    "palette whose colours are 0 and 1": (encode(ONES, mode="P"), "1"),
    "red brush on black": (encode(RED), "red"),
    "white strokes on a clear layer": (encode(np.repeat(HOLE[..., None], 4, 2)), "the strokes"),
    "red strokes on a clear layer": (encode(np.dstack([RED, HOLE])), "the strokes"),
    "a photo with a part erased": (encode(ERASED), "the erased part"),
    "nothing marked": (encode(HOLE * 0), None),
    "everything marked": (encode(HOLE * 0 + 255), None),
    "another size": (encode(HOLE[:32, :32]), None),
}


@pytest.fixture(scope="module")
def fill(small_models):
    return load(small_models / MODEL_FOLDER)


@pytest.fixture
def folder(tmp_path, small_models, monkeypatch):
    (tmp_path / "outputs").symlink_to(small_models / "outputs")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hole.png").write_bytes(encode(HOLE))
    return tmp_path


class Result(NamedTuple):
    """What a way in gave back, and what it said of it."""

    picture: Picture
    said: str


def by_command(folder, fill):
    arguments = ["inpaint", "picture", "--mask", "mask", "--out", "out.png"]
    result = CliRunner().invoke(app, arguments)
    if result.exit_code:
        raise ValueError(result.exception)
    return Result(open_picture("out.png"), result.output)


def by_python(folder, fill):
    filled = fill(open_picture("picture"), open_picture("mask"))
    filled.save("out.png")
    return Result(open_picture("out.png"), "; ".join([filled.filled, *filled.notes]))


def by_http(folder, fill):
    from mlflow.exceptions import MlflowException

    from pipeline.serving.served import Served

    served = Served()
    served.fill = fill
    picture, mask = ((folder / name).read_bytes() for name in ("picture", "mask"))
    texts = [base64.encodebytes(picture).decode()]
    texts.append("\n data:image/png;base64," + base64.b64encode(mask).decode())
    tuned = fill.config.decoding
    params = tuned.model_dump(include={"gamma", "iterations", "reading", "seed"})
    try:
        (row,) = served.predict(
            None, pd.DataFrame([texts], columns=["image", "mask"]), params
        ).itertuples(index=False)
    except MlflowException as error:
        raise ValueError(error.message) from None
    return Result(decode_picture(base64.b64decode(row.image)), f"{row.filled}; {row.notes}")


def by_page(folder, fill):
    photo, tuned = open_photo(folder / "picture"), fill.config.decoding
    mask = hole_to_fill(photo, [], folder / "mask", 0, False)
    how = [tuned.gamma], 1, tuned.iterations, tuned.seed, lambda share, title: None
    (result,) = fill_photo_as(fill, photo, mask, *how)
    return Result(open_picture(result.save(folder)), result.said)


def by_score(folder, fill):
    (path,) = [folder / "picture"]
    try:
        return Result(Picture(load_for_score(path).rgb), "; ".join(file_warnings([path])))
    except UserError as error:
        raise ValueError(error) from None


def by_source(folder, fill):
    (folder / "in").mkdir()
    (folder / "in/a.png").write_bytes((folder / "picture").read_bytes())
    (image,) = read_source(folder / "in", 64, "crop", 1)
    if image.reason:
        raise ValueError(image.reason)
    return Result(Picture(image.pixels), "")


FILLING = {"command line": by_command, "Python": by_python, "HTTP": by_http, "page": by_page}
SEEING = {"`maskgit score`": by_score, "`data.source`": by_source}
WAYS = FILLING | SEEING
CHANNELS = {1: "grey", 2: "grey + alpha", 3: "RGB", 4: "RGB + alpha"}
REFUSED = {"`data.source`": "left out"}  # of the others: refused


def documented(heading):
    """A table of docs/pictures.md: for each row its cells, by the names of their columns."""
    text = (ROOT / "docs/pictures.md").read_text(encoding="utf-8")
    lines = text.split(f"## {heading}\n")[1].split("\n## ")[0].splitlines()
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    names = rows[0]
    return {row[0]: dict(zip(names[1:], row[1:], strict=True)) for row in rows[2:]}


TABLE, MASK_TABLE = documented("Pictures"), documented("Masks")


def cells(table, ways):
    return [pytest.param(row, way, id=f"{row}-{way}") for row in table for way in ways]


def described(picture):
    profile = ", profile" if picture.profile else ""
    return f"{CHANNELS[picture.own.shape[2]]}, {picture.own.itemsize * 8} bits{profile}"


def test_the_tables_of_the_documentation_have_every_file_mask_and_way_in():
    assert list(TABLE) == list(FILES) and list(MASK_TABLE) == list(MASKS)
    assert all(list(cells) == [*WAYS, "what is said"] for cells in TABLE.values())
    assert all(
        list(cells) == [*FILLING, "`data.holes`", "`data.source`"] for cells in MASK_TABLE.values()
    )


@pytest.mark.parametrize(("row", "way"), cells(FILES, WAYS))
def test_every_way_in_reads_and_gives_back_what_the_table_says(fill, folder, row, way):
    (data, meant), documented = FILES[row], TABLE[row]
    (folder / "picture").write_bytes(data)
    (folder / "mask").write_bytes(encode(HOLE))
    said = documented["what is said"].strip("`")
    if meant is None:
        assert documented[way] == REFUSED.get(way, "refused") and said
        with pytest.raises(ValueError, match=re.escape(said)):
            WAYS[way](folder, fill)
        return
    result = WAYS[way](folder, fill)
    assert described(result.picture) == documented[way]
    known = (HOLE == 0) | (way in SEEING)
    meant = Picture(meant).rgb if way in SEEING else meant
    off = np.abs(result.picture.own.astype(int) - meant)
    # dividing by alpha loses the last digits
    lost = "premultiplied" in row and (1 if way in SEEING else 8)
    assert off[known].max() <= lost
    if way in FILLING:
        assert off[~known].any()
        assert "14.6 % of the picture" in result.said
    if way != "`data.source`":
        assert said in result.said
        assert said or not re.search("turned upright|the first|its CMYK|its floats", result.said)


@pytest.mark.parametrize(("row", "way"), cells(MASKS, FILLING))
def test_every_way_in_fills_what_the_table_says_of_a_mask(fill, folder, row, way):
    data, shows = MASKS[row]
    (folder / "picture").write_bytes(encode(COLOURS))
    (folder / "mask").write_bytes(data)
    assert MASK_TABLE[row][way] == (shows or "refused")
    if shows is None:
        with pytest.raises(ValueError, match="the mask"):
            WAYS[way](folder, fill)
        return
    result = WAYS[way](folder, fill)
    changed = (result.picture.own != COLOURS).any(axis=2)
    where = {"the strokes": ", where the mask is painted"}.get(shows, "")
    where = {"the erased part": ", where the mask is transparent"}.get(shows, where)
    said = result.said[result.said.index("14.6 %") :]
    assert re.match(rf"14\.6 % of the picture{where}(;|\n|$)", said)
    assert ("the mask: turned upright" in said) == ("EXIF" in row)
    assert changed.any() and not changed[HOLE == 0].any()


@pytest.mark.parametrize("row", MASKS)
def test_a_set_of_masks_is_read_alike(row):
    data, shows = MASKS[row]
    read = read_mask(File("a.png", "", data, ""), 64)
    if row == "another size":
        shows = "white"
        assert np.array_equal(read.hole, fit_mask(HOLE[:32, :32] > 0, 64))
    elif shows is None:
        assert "the mask" in read.reason
    else:
        assert np.array_equal(read.hole, HOLE > 0)
    assert MASK_TABLE[row]["`data.holes`"] == (shows or "left out")


INVERTED = {"nothing marked": "everything", "everything marked": "nothing"}


@pytest.mark.parametrize("row", MASKS)
def test_masks_of_the_labs_layout_are_read_alike_and_the_other_way_round(folder, row):
    data, shows = MASKS[row]
    for name, content in (("cat_face/test/a.png", encode(COLOURS)), ("mask64/a.png", data)):
        (folder / "lab" / name).parent.mkdir(parents=True)
        (folder / "lab" / name).write_bytes(content)
    (hole,) = read_lab_masks(folder / "lab", 64)
    expected = {"everything": HOLE >= 0, "nothing": HOLE < 0}.get(INVERTED.get(row), HOLE == 0)
    if row == "another size":
        expected = np.repeat(np.repeat(HOLE[:32, :32], 2, 0), 2, 1) == 0
    assert np.array_equal(hole, expected)
    assert MASK_TABLE[row]["`data.source`"] == INVERTED.get(row, f"all but {shows or 'white'}")


def test_an_image_of_pil_is_turned_and_keeps_its_profile(fill):
    stored = Image.open(io.BytesIO(turned(COLOURS)))
    stored.info["icc_profile"] = PROFILE
    filled = fill(stored, HOLE)
    assert filled.info["icc_profile"] == PROFILE
    assert np.array_equal(np.asarray(filled)[HOLE == 0], RGBA[..., :3][HOLE == 0])


@pytest.mark.parametrize("mask", [[[1]], "hole.png", None, HOLE.astype(np.int64)])
def test_what_is_no_mask_is_a_value_error_that_names_the_argument(fill, mask):
    with pytest.raises(ValueError, match=r"^mask: .*should be"):
        fill(RGBA, mask)


def test_a_page_mask_of_another_size_is_refused(folder):
    (folder / "picture").write_bytes(encode(RGBA))
    Image.new("L", (32, 32), 255).save("small.png")
    with pytest.raises(ValueError, match="the mask is 32 x 32, the picture 64 x 64"):
        hole_to_fill(open_photo(folder / "picture"), [], folder / "small.png", 0, False)


def test_a_film_behind_a_jpeg_is_no_scan():
    film = b"\xff\xda" * 500
    photo = encode(RGBA[..., :3], "JPEG")
    assert np.array_equal(decode_picture(photo + film).own, decode_picture(photo).own)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_the_first_is_said_to_be_taken(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, kind, save_all=True, append_images=frames[1:])
    assert "first" in decode_picture(file.getvalue()).notes[0]


def test_names_in_both_forms_of_unicode_pair_and_unread_files_are_named(folder):
    for name in ("in/\u00e4.jfif", "in/b.heic", "masks/a\u0308.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(encode(HOLE if "masks" in name else RGBA[..., :3]))
    result = CliRunner().invoke(app, ["inpaint", "in", "--mask", "masks", "--out", "out"])
    assert result.exit_code == 0 and "1 of 1 filled" in result.output
    assert "passed over, since not read as pictures: 1 .heic; save HEIC" in result.output


def test_masks_with_a_suffix_lie_beside_their_pictures(folder):
    for name in ("a.png", "b.png", "a_mask.png", "b_mask001.png", "b_mask002.png"):
        (folder / "in").mkdir(exist_ok=True)
        (folder / "in" / name).write_bytes(encode(HOLE if "mask" in name else RGBA[..., :3]))
    arguments = ["inpaint", "in", "--mask", "in", "--out", "out", "--mask-suffix", "_mask"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0 and "its own mask" not in result.output
    names = sorted(path.name for path in (folder / "out").iterdir())
    assert names == ["a.png", "b_mask001.png", "b_mask002.png"]


def test_pictures_that_are_their_own_masks_are_said_to_be(folder):
    (folder / "in").mkdir()
    (folder / "in/erased.png").write_bytes(encode(ERASED))
    result = CliRunner().invoke(app, ["inpaint", "in", "--mask", "in", "--out", "out"])
    assert "in: each picture is its own mask; --mask-suffix _mask pairs" in result.output


@pytest.mark.parametrize(
    "fault", [MemoryError(), RuntimeError("CUDA out of memory"), np.linalg.LinAlgError("other")]
)
def test_a_picture_too_large_for_memory_costs_one_line(folder, monkeypatch, fault):
    from maskgit.filling import Fill

    (folder / "in").mkdir()
    for name, side in (("a", 64), ("b", 63), ("c", 64)):
        (folder / f"in/{name}.png").write_bytes(encode(RGBA[:side, :, :3]))
    pixels = Fill.pixels

    def failing(self, picture, *how):
        if picture.shape[0] == 63:
            raise fault
        return pixels(self, picture, *how)

    monkeypatch.setattr(Fill, "pixels", failing)
    result = CliRunner().invoke(app, ["inpaint", "in", "--mask", "hole.png", "--out", "out"])
    if isinstance(fault, ValueError):
        assert result.exception is fault
        return
    assert result.exit_code == 1 and "2 of 3 filled" in result.output
    assert "in/b.png: too large for the memory" in str(result.exception)
