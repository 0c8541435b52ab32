import io
import struct
import warnings
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from maskgit.data.image_files import (
    UnusableImage,
    decode_image,
    decode_picture,
    encode_png,
    picture_of,
    to_square,
)

RAMP = np.linspace(0, 255, 40 * 24 * 3).reshape(40, 24, 3).astype(np.uint8)
RED, WHITE = (255, 0, 0), (255, 255, 255)


def encode(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_keep_every_pixel(kind):
    np.testing.assert_array_equal(decode_image(encode(Image.fromarray(RAMP), kind)), RAMP)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "LA", "RGBA", "I;16"])
def test_every_mode_becomes_rgb(mode):
    kind = "TIFF" if mode == "CMYK" else "PNG"
    image = decode_image(encode(Image.new(mode, (24, 40)), kind))
    assert image.shape == (40, 24, 3)
    assert image.dtype == np.uint8


def test_cmyk_jpeg_keeps_its_colour():
    image = decode_image(encode(Image.new("RGB", (16, 16), RED).convert("CMYK"), "JPEG"))
    np.testing.assert_allclose(image, np.broadcast_to(RED, image.shape), atol=6)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(kind):
    grey = np.array([[0, 257, 32896, 65535]], np.uint16)
    image = decode_image(encode(Image.fromarray(grey), kind))
    assert image[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize(
    ("data", "warned"),
    [
        (encode_png(np.zeros((4, 5, 3), np.uint16)), True),
        (encode_png(np.zeros((4, 5, 1), np.uint16)), False),  # PIL keeps all of grey
        (encode_png(np.zeros((4, 5, 3), np.uint8)), False),
        (encode(Image.new("RGB", (720, 4)), "BMP"), False),  # 2160 bytes a row
    ],
)
def test_a_warning_says_where_pil_keeps_8_of_16_bits(data, warned):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        picture_of(Image.open(io.BytesIO(data)))
    assert [str(each.message)[:24] for each in found] == ["Pillow keeps 8 of the 16"] * warned


def test_pixels_of_unknown_range_are_refused():
    with pytest.raises(UnusableImage, match="32-bit pixels; save it with 8 or 16"):
        decode_image(encode(Image.new("I", (4, 4)), "TIFF"))
    with pytest.raises(UnusableImage, match="float pixels outside of 0 to 1"):
        decode_image(encode(Image.new("F", (4, 4), 7.5), "TIFF"))


def test_transparency_is_laid_over_white():
    image = Image.new("RGBA", (2, 1), (*RED, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    assert decode_image(encode(image, "PNG")).tolist() == [[list(RED), list(WHITE)]]
    palette = Image.new("P", (2, 1), 1)
    palette.putpalette([0, 0, 0, *RED])
    palette.putpixel((1, 0), 0)
    data = encode(palette, "PNG", transparency=0)
    assert decode_image(data).tolist() == [[list(RED), list(WHITE)]]


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn clockwise
    upright = decode_image(encode(Image.fromarray(RAMP), "PNG", exif=exif))
    np.testing.assert_array_equal(upright, np.rot90(RAMP, -1))
    assert decode_image(encode(Image.fromarray(RAMP), "JPEG", exif=exif)).shape == (24, 40, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_every_orientation_at_every_depth(orientation, depth):
    exif = Image.Exif()
    exif[0x0112] = orientation
    body = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = b"eXIf" + body
    plain = encode_png(RAMP.astype(depth) * (257 if depth is np.uint16 else 1))
    end = 33  # of the header
    data = plain[:end] + struct.pack(">I", len(body)) + chunk
    data += struct.pack(">I", zlib.crc32(chunk)) + plain[end:]
    picture = decode_picture(data)
    stored = Image.fromarray(RAMP)
    stored.getexif()[0x0112] = orientation
    np.testing.assert_array_equal(picture.rgb, np.asarray(ImageOps.exif_transpose(stored)))
    own = picture.own if depth is np.uint8 else picture.own // 257
    np.testing.assert_array_equal(own, picture.rgb)


def with_tiff_tag(data, tag, value):
    """A little-endian TIFF file with one more tag of 16 bits; the table of tags is at its end."""
    (start,) = struct.unpack("<I", data[4:8])
    (count,) = struct.unpack_from("<H", data, start)
    tags = [data[start + 2 + 12 * i : start + 14 + 12 * i] for i in range(count)]
    tags = sorted([*tags, struct.pack("<HHIHH", tag, 3, 1, value, 0)], key=lambda t: t[1::-1])
    data += b"\0" * (len(data) % 2)
    table = struct.pack("<H", len(tags)) + b"".join(tags) + bytes(4)
    return data[:4] + struct.pack("<I", len(data)) + data[8:] + table


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", [1, 5, 8], ids=["plain", "lzw", "deflate"])
def test_every_orientation_of_deep_tiff(orientation, compression):
    deep = RAMP.astype(np.uint16) * 257
    how = [cv2.IMWRITE_TIFF_COMPRESSION, compression]
    data = cv2.imencode(".tif", np.ascontiguousarray(deep[..., ::-1]), how)[1].tobytes()
    picture = decode_picture(with_tiff_tag(data, 274, orientation))
    stored = Image.fromarray(RAMP)
    stored.getexif()[0x0112] = orientation
    np.testing.assert_array_equal(picture.own // 257, np.asarray(ImageOps.exif_transpose(stored)))
    assert (picture.notes == ()) == (orientation == 1)


def test_a_tiff_of_floats_with_a_predictor_is_not_called_damaged():
    values = np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)
    options = {"compression": "tiff_adobe_deflate", "tiffinfo": {317: 3}}
    with pytest.raises(UnusableImage, match="floats with a predictor; save it uncompressed"):
        decode_image(encode(Image.fromarray(values), "TIFF", **options))


def test_unreadable_exif_does_no_harm():
    data = encode(Image.fromarray(RAMP), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    np.testing.assert_array_equal(decode_image(data), RAMP)


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_first_frame_of_an_animation(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, WHITE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert (decode_image(data) == RED).all()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"Dear diary,", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (encode(Image.fromarray(RAMP), "JPEG")[:-200], "truncated file"),
        (png_header(65_000, 65_000), "larger than 100 megapixels"),
        (png_header(10_001, 10_000), "larger than 100 megapixels"),
        (png_header(0, 5), "not an image"),
    ],
)
def test_reason(data, reason):
    with pytest.raises(UnusableImage) as caught:
        decode_image(data)
    assert str(caught.value) == reason


VALID = [
    encode(Image.fromarray(RAMP), kind, **options)
    for kind, options in [
        ("JPEG", {}),
        ("PNG", {}),
        ("GIF", {}),
        ("WEBP", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ]
]


@given(st.binary(max_size=200))
def test_arbitrary_bytes_give_a_reason(data):
    with pytest.raises(UnusableImage):
        decode_image(data)


@settings(deadline=None)  # a changed header may ask for up to 100 megapixels
@given(
    st.sampled_from(VALID),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    st.floats(0, 1),
)
def test_damaged_images_give_pixels_or_a_reason(data, changes, kept):
    damaged = bytearray(data)
    for place, value in changes:
        damaged[int(place * len(damaged))] = value
    try:
        image = decode_image(bytes(damaged[: int(kept * len(damaged))]))
    except UnusableImage as unusable:
        assert "\n" not in str(unusable)
        assert 0 < len(str(unusable)) < 60
    else:
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[2] == 3


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_a_square_of_the_size_is_unchanged(fit):
    square = RAMP[:24]
    np.testing.assert_array_equal(to_square(square, 24, fit), square)


def test_crop_keeps_the_centre():
    np.testing.assert_array_equal(to_square(RAMP, 24, "crop"), RAMP[8:32])


def test_pad_repeats_the_edges():
    padded = to_square(RAMP, 40, "pad")
    np.testing.assert_array_equal(padded[:, 8:32], RAMP)
    assert (padded[:, :8] == RAMP[:, :1]).all()
    assert (padded[:, 32:] == RAMP[:, -1:]).all()


def test_shrinking_averages():
    checks = np.indices((128, 128)).sum(axis=0) % 2 * 255
    image = np.repeat(checks[..., None], 3, axis=2).astype(np.uint8)
    np.testing.assert_allclose(to_square(image, 16, "crop"), 127.5, atol=3)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 70), st.sampled_from(["crop", "pad"]))
def test_any_shape_becomes_a_square(height, width, size, fit):
    image = np.full((height, width, 3), 9, np.uint8)
    square = to_square(image, size, fit)
    assert square.shape == (size, size, 3)
    assert (square == 9).all()


def test_a_long_strip_pads_in_little_memory():
    strip = np.zeros((1, 1_000_000, 3), np.uint8)  # padded first it would be 3 terabytes
    assert to_square(strip, 64, "pad").shape == (64, 64, 3)


def test_unknown_fit_is_an_error():
    with pytest.raises(ValueError, match="'crop' or 'pad', not 'stretch'"):
        to_square(RAMP, 8, "stretch")


SECOND = {"save_all": True, "append_images": [Image.new("L", (16, 16), 9)]}


@pytest.mark.parametrize(
    ("image", "kind", "options"),
    [
        (Image.new("RGB", (16, 16), RED).convert("CMYK"), "JPEG", {}),
        (Image.new("L", (16, 16)), "GIF", SECOND),
        (Image.new("L", (16, 16)), "TIFF", SECOND),
    ],
    ids=["cmyk", "animation", "pages"],
)
def test_an_opened_image_has_the_notes_of_its_file(image, kind, options):
    data = encode(image, kind, **options)
    notes = decode_picture(data).notes
    assert notes and picture_of(Image.open(io.BytesIO(data))).notes == notes
