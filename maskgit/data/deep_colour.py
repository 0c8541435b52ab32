"""Reads pictures of 16 bits a channel and of floats, which Pillow reduces to 8 bits or refuses.

OpenCV reads PNG, JPEG 2000 and plain TIFF in full depth. tifffile reads the TIFF files that OpenCV
scrambles or refuses: planar ones, grey with alpha, CMYK and floats.
"""

import io
import logging
import struct
import zlib
from typing import NamedTuple

import cv2
import numpy as np

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MINISWHITE, _MINISBLACK, _RGB, _CMYK = 0, 1, 2, 5  # values of PhotometricInterpretation
_COLOURS = {_MINISWHITE: 1, _MINISBLACK: 1, _RGB: 3, _CMYK: 4}
_PREMULTIPLIED, _STRAIGHT = 1, 2  # values of ExtraSamples
_UNPACKED, _DEFLATE = 1, (8, 32946)  # values of Compression
_PLANAR, _UNSIGNED, _FLOAT = 2, 1, 3  # values of PlanarConfiguration and SampleFormat
_FLOAT_PREDICTOR = 3  # value of Predictor
_ORIENTATION, _PROFILE = 274, 34675
_MOST_SAMPLES = 8

CMYK_NOTE = "its CMYK as RGB, without a profile"
_OPENCV_ORDER = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}  # OpenCV has BGRA for RGBA


class UnreadableDepth(ValueError):
    """Raised for pixels that no library here reads; the message says what to save instead."""


class DeepTiff(NamedTuple):
    """The content of a TIFF file, before it is turned upright."""

    values: np.ndarray  # uint8 or uint16 (H, W, C), C as in PNG, alpha straight
    profile: bytes | None
    orientation: int  # as in EXIF
    several: bool  # whether more pages follow
    notes: tuple[str, ...]  # how the values differ from what the file stores


def decode_deep_tiff(data: bytes, most_pixels: int) -> DeepTiff | None:
    """Decodes the first page of a TIFF file that Pillow cannot read as it is meant.

    Returns None for other files and for TIFF files that Pillow reads: integers of 8 bits or fewer.
    Raises UnreadableDepth for what no library reads. Damaged files raise what tifffile raises:
    ValueError, TypeError, IndexError, OverflowError, struct.error or zlib.error.
    """
    if data[:4] not in _TIFF_MAGIC:
        return None
    import tifffile  # takes a fifth of a second, and few pictures need it

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # faults get a reason here
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        shallow = page.bitspersample <= 8 and page.sampleformat != _FLOAT
        if shallow and page.samplesperpixel != 2:
            return None
        if page.imagewidth * page.imagelength > most_pixels:
            raise UnreadableDepth(f"larger than {most_pixels // 10**6} megapixels")
        if not page.imagewidth * page.imagelength * page.samplesperpixel:
            raise UnreadableDepth("an image without pixels")
        values = _as_png(_samples(page, data), page)
        profile = page.tags.valueof(_PROFILE)
        if not isinstance(profile, bytes) or page.photometric == _CMYK:
            profile = None
        orientation = page.tags.valueof(_ORIENTATION, 1)
        several = _has_second_page(file)
    notes = [CMYK_NOTE] if page.photometric == _CMYK else []
    notes += ["its floats as 16 bits"] if page.sampleformat == _FLOAT else []
    return DeepTiff(values, profile, orientation, several, tuple(notes))


def _has_second_page(file) -> bool:
    try:
        return file.pages[1] is not None
    except IndexError:
        return False


def _samples(page, data: bytes) -> np.ndarray:
    """Returns the samples of a page as they are stored, uint8, uint16 or float (H, W, S)."""
    bits, floats = page.bitspersample, page.sampleformat == _FLOAT
    if page.photometric not in _COLOURS or page.imagedepth != 1:
        raise UnreadableDepth("TIFF of neither grey, RGB nor CMYK; save it as RGB")
    if not floats and (bits not in (8, 16) or page.sampleformat != _UNSIGNED):
        raise UnreadableDepth(f"TIFF with {bits}-bit pixels; save it with 8 or 16")
    if not _COLOURS[page.photometric] <= page.samplesperpixel <= _MOST_SAMPLES:
        raise UnreadableDepth("TIFF of a wrong number of channels; save it as RGB")
    shape = page.imagelength, page.imagewidth, page.samplesperpixel
    if floats and page.predictor == _FLOAT_PREDICTOR:
        raise UnreadableDepth("TIFF of floats with a predictor; save it uncompressed")
    if page.compression == _UNPACKED or page.compression in _DEFLATE:
        if page.compression in _DEFLATE:
            _check_packed(page, data)
        samples = page.asarray(maxworkers=1)
        if page.planarconfig == _PLANAR and shape[2] > 1:
            samples = np.moveaxis(samples, 0, -1)
        return samples.reshape(shape)
    chunky = page.planarconfig != _PLANAR or shape[2] == 1
    if bits == 16 and not floats and chunky and page.photometric != _CMYK and shape[2] in (1, 3, 4):
        return opencv_values(_without_orientation(page, data)).reshape(shape)
    packed = getattr(page.compression, "name", page.compression)
    raise UnreadableDepth(
        f"TIFF of this kind packed with {packed}; save it uncompressed, with Deflate, or as PNG"
    )


def _without_orientation(page, data: bytes) -> bytes:
    """Returns the file with an orientation of 1, since OpenCV would turn it without saying so."""
    tag = page.tags.get(_ORIENTATION)
    if tag is None:
        return data
    order = "little" if page.parent.byteorder == "<" else "big"
    upright = (1).to_bytes(tag.valuebytecount, order)
    return data[: tag.valueoffset] + upright + data[tag.valueoffset + len(upright) :]


def _check_packed(page, data: bytes) -> None:
    """Raises ValueError where a part would unpack to more than its share of the picture."""
    most = int(np.prod(page.chunks)) * page.bitspersample // 8
    for start, length in zip(page.dataoffsets, page.databytecounts, strict=True):
        unpacked = zlib.decompressobj().decompress(data[start : start + length], most + 1)
        if len(unpacked) > most:
            raise ValueError("a part is too large")


def _as_png(samples: np.ndarray, page) -> np.ndarray:
    """Converts samples to PNG's form: large is white, alpha straight, floats 16 bits, CMYK RGB."""
    if samples.dtype.kind == "f":
        if not (np.isfinite(samples).all() and samples.min() >= 0 and samples.max() <= 1):
            raise UnreadableDepth("float pixels outside of 0 to 1; save it with 8 or 16 bits")
        samples = np.rint(samples.astype(np.float64) * 65535)
    kind = np.uint8 if page.bitspersample == 8 else np.uint16
    samples = samples.astype(kind)
    white, count = np.iinfo(kind).max, _COLOURS[page.photometric]
    colours, extra = samples[..., :count], samples[..., count : count + 1]
    meaning = page.extrasamples[0] if page.extrasamples else _STRAIGHT
    if page.photometric == _MINISWHITE:
        colours = white - colours
    elif page.photometric == _CMYK:  # as Pillow does it: no profile
        light = white - colours.astype(np.uint32)
        colours = ((light[..., :3] * light[..., 3:] + white // 2) // white).astype(kind)
    if extra.shape[2] == 0 or meaning not in (_PREMULTIPLIED, _STRAIGHT):
        return np.ascontiguousarray(colours)
    if meaning == _PREMULTIPLIED:
        share = np.maximum(extra.astype(np.uint32), 1)
        straight = (np.minimum(colours, extra) * np.uint32(white) + share // 2) // share
        colours = straight.astype(kind)
    return np.concatenate([colours, extra], axis=2)


def opencv_values(data: bytes) -> np.ndarray:
    """Returns pixels of a PNG, JPEG 2000 or TIFF file as stored, uint16 (H, W, C), not turned."""
    # OpenCV would warn on stderr of files that Pillow has read without a fault.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16:
        raise UnreadableDepth("16-bit colours in an unknown form; save it with 8 bits")
    values = np.atleast_3d(values)
    return values[..., _OPENCV_ORDER[values.shape[2]]]


def decode_deep_png(data: bytes) -> np.ndarray | None:
    """Decodes a PNG of 16-bit colours, or 16-bit grey and alpha, to uint16 (H, W, C); else None."""
    depth, colour_type = data[24], data[25]  # of the header
    if depth != 16 or colour_type == 0:
        return None
    values = opencv_values(data)
    return values[..., [0, 3]] if colour_type == 4 else values


def bits_of_jpeg_2000(data: bytes) -> int:
    """Returns a channel's depth in bits, from the SIZ marker of the codestream; 8 without one."""
    start = data.find(b"\xff\x4f\xff\x51")
    return (data[start + 42] & 0x7F) + 1 if 0 <= start < len(data) - 42 else 8


def bits_of_avif(data: bytes) -> int:
    """Returns a channel's depth in bits, from the first `pixi` box; 8 without one."""
    start = data.find(b"pixi")
    return data[start + 9] if 0 <= start < len(data) - 9 else 8


def encode_deep_png(pixels: np.ndarray, profile: bytes | None) -> bytes:
    """Encodes uint16 (H, W, C), C as in PNG, as a PNG file.

    No library here writes 16-bit PNG files for all of these channels.
    """
    height, width, channels = pixels.shape
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = pixels.astype(">u2").view(np.uint8).reshape(height, -1)
    step = 2 * channels
    filtered = np.ones((height, 1 + rows.shape[1]), np.uint8)  # filter 1: minus the left pixel
    filtered[:, 1 : 1 + step] = rows[:, :step]
    filtered[:, 1 + step :] = rows[:, step:] - rows[:, :-step]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header)]
    if profile is not None:
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)))
    chunks += [(b"IDAT", zlib.compress(filtered, 2)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
