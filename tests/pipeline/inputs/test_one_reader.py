"""The same bytes are the same picture for every way in, and come back as they came."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from maskgit import load, open_picture
from maskgit.data.image_files import decode_picture, encode_png
from pipeline.cli import app
from pipeline.commands.folders import load as load_for_score
from pipeline.inputs.dataset import read_source
from pipeline.page.session import fill_photo_as, hole_to_fill, open_photo
from pipeline.plumbing.places import MODEL_FOLDER

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


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(np.rot90(RGBA[..., :3]), exif=exif)


def tiff(pixels, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


CMYK = DEEP.astype(np.uint32)
PREMULTIPLIED = DEEP.copy()
PREMULTIPLIED[..., 3] |= 0xF000
SHARES = PREMULTIPLIED.astype(np.uint64)
SHARES[..., :3] = (SHARES[..., :3] * SHARES[..., 3:] + 32767) // 65535
LIGHT = 65535 - CMYK[..., :3]
FROM_CMYK = ((LIGHT * (65535 - CMYK[..., 3:]) + 32767) // 65535).astype(np.uint16)
FLOATS = DEEP[..., :3].astype(np.float32) / 65535

# what is in the file, and the values that it means
FILES = {
    "RGB": (encode(RGBA[..., :3]), RGBA[..., :3]),
    "EXIF turn": (turned(), RGBA[..., :3]),
    "grey": (encode(RGBA[..., 0]), RGBA[..., :1]),
    "alpha": (encode(RGBA), RGBA),
    "grey and alpha": (encode_png(RGBA[..., 2:]), RGBA[..., 2:]),
    "16-bit grey": (encode_png(DEEP[..., :1]), DEEP[..., :1]),
    "16-bit grey and alpha": (encode_png(DEEP[..., 2:]), DEEP[..., 2:]),
    "16-bit colours": (encode_png(DEEP[..., :3], PROFILE), DEEP[..., :3]),
    "16-bit alpha": (encode_png(DEEP), DEEP),
    "palette": (encode(RGBA[..., 0] // 64 * 64, mode="P"), RGBA[..., :1].repeat(3, 2) // 64 * 64),
    "one bit": (encode(HOLE > 0), HOLE[..., None]),
    "TIFF MINISWHITE": (tiff(65535 - DEEP[..., 0], photometric="miniswhite"), DEEP[..., :1]),
    "TIFF planar": (
        tiff(np.moveaxis(DEEP[..., :3], 2, 0), photometric="rgb", planarconfig="separate"),
        DEEP[..., :3],
    ),
    "TIFF premultiplied": (
        tiff(SHARES.astype(np.uint16), photometric="rgb", extrasamples=["assocalpha"]),
        PREMULTIPLIED,
    ),
    "TIFF grey and alpha": (
        tiff(
            DEEP[..., 2:],
            photometric="minisblack",
            planarconfig="contig",
            extrasamples=["unassalpha"],
            compression="zlib",
        ),
        DEEP[..., 2:],
    ),
    "TIFF CMYK": (tiff(DEEP, photometric="separated"), FROM_CMYK),
    "TIFF floats": (tiff(FLOATS, photometric="rgb"), DEEP[..., :3]),
    "TIFF turned": (
        tiff(np.rot90(DEEP[..., :3]), photometric="rgb", extratags=[(274, "H", 1, 6, True)]),
        DEEP[..., :3],
    ),
    "JPEG 2000": (
        encode(RGBA[..., :3], "JPEG2000", irreversible=False),
        RGBA[..., :3],
    ),
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


def by_command(data, folder, fill):
    arguments = ["inpaint", "picture", "--mask", "hole.png", "--out", "out.png"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "14.6 % of the picture" in result.output
    return decode_picture((folder / "out.png").read_bytes())


def by_python(data, folder, fill):
    fill(open_picture("picture"), open_picture("hole.png")).save("out.png")
    return open_picture("out.png")


def by_http(data, folder, fill):
    from pipeline.serving.served import Served

    served = Served()
    served.fill = fill
    texts = [base64.encodebytes(data).decode(), encode(HOLE)]
    texts[1] = "data:image/png;base64," + base64.b64encode(texts[1]).decode()
    rows = pd.DataFrame([texts], columns=["image", "mask"])
    tuned = fill.config.decoding
    params = {"gamma": tuned.gamma, "iterations": tuned.iterations, "seed": tuned.seed}
    (answer,) = served.predict(None, rows, params)["image"]
    return decode_picture(base64.b64decode(answer))


def by_page(data, folder, fill):
    photo, tuned = open_photo(folder / "picture"), fill.config.decoding
    hole = hole_to_fill(photo, [], folder / "hole.png", 0, False)
    how = [tuned.gamma], 1, tuned.iterations, tuned.seed, lambda share, title: None
    (result,) = fill_photo_as(fill, photo, hole, *how)
    return decode_picture(result.save(folder).read_bytes())


WAYS = {"command line": by_command, "Python": by_python, "HTTP": by_http, "page": by_page}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(("data", "meant"), FILES.values(), ids=FILES)
def test_known_pixels_come_back_as_the_file_means_them(fill, folder, way, data, meant):
    (folder / "picture").write_bytes(data)
    filled, known = way(data, folder, fill), HOLE == 0
    assert filled.own.dtype == meant.dtype and filled.own.shape == meant.shape
    # dividing by alpha loses the last digits
    off = 8 if meant is PREMULTIPLIED else 0
    assert np.abs(filled.own[known].astype(int) - meant[known].astype(int)).max() <= off
    assert (filled.own[~known] != meant[~known]).any()
    assert filled.profile == (PROFILE if data is FILES["16-bit colours"][0] else None)


@pytest.mark.parametrize("data", [data for data, _ in FILES.values()], ids=FILES)
def test_score_and_sources_see_what_models_see(folder, data):
    seen = decode_picture(data).rgb
    (folder / "in").mkdir()
    (folder / "in/a.png").write_bytes(data)
    assert np.array_equal(load_for_score(folder / "in/a.png").rgb, seen)
    (image,) = read_source(folder / "in", 64, "crop", 1)
    assert np.array_equal(image.pixels, seen)


def test_an_image_of_pil_is_turned_and_keeps_its_profile(fill):
    stored = Image.open(io.BytesIO(turned()))
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
    assert CliRunner().invoke(app, arguments).exit_code == 0
    names = sorted(path.name for path in (folder / "out").iterdir())
    assert names == ["a.png", "b_mask001.png", "b_mask002.png"]


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
