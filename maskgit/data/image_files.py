"""Reads pictures from image files and arrays: upright pixels in full depth, by one rule for all.

Command line, Python call, served model, page, `maskgit score` and `data.source` read pictures here.
"""

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from maskgit.data.deep_colour import (
    CMYK_NOTE,
    UnreadableDepth,
    bits_of_avif,
    bits_of_jpeg_2000,
    decode_deep_png,
    decode_deep_tiff,
    encode_deep_png,
    opencv_values,
)

# Pillow's other readers are not needed, and some of them start programs (EPS).
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "JPEG2000")
MAX_PIXELS = 100_000_000
NO_HEIC = "HEIC is not read; save it as JPEG or PNG"
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
TOO_LARGE = "too large for the memory of this machine"
MAX_SCANS = 100  # of a progressive JPEG: each one costs a pass over all pixels; most files have 10
_SIXTEEN_BITS = 257  # 65535 = 255 * 257
_JPEG_MARKER = re.compile(rb"\xff+[^\x00\xff]")
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}  # TEM, RST0 to RST7, SOI

_ORIENTATION, _BITS_PER_SAMPLE = 0x0112, 258  # tags of EXIF and TIFF
_TURNS = {  # EXIF orientation -> upright
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}
_LAID_OUT_ANEW = ("CMYK", "LAB", "YCbCr")  # modes that PNG does not know and RGB is made of

# The errors that Pillow and tifffile raise for damaged headers, chunks, tags and pixel data.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    EOFError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
    cv2.error,
)


class UnusableImage(ValueError):
    """Raised where bytes give no picture; the message says why in one short line."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as its file means it, upright, in the file's depth and channels.

    Attributes:
        own: uint8 or uint16 (H, W, C), C as in PNG: grey, grey and alpha, RGB, or RGB and alpha.
        profile: the ICC colour profile of the colours in `own`.
        notes: how `own` differs from what the file stores, a short line each.
        filled: of a result, how much of the picture was filled, in words.
    """

    own: np.ndarray
    profile: bytes | None = None
    notes: tuple[str, ...] = ()
    filled: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """The height and width in pixels."""
        return self.own.shape[:2]

    @cached_property
    def rgb(self) -> np.ndarray:
        """The picture as models see it: uint8 (H, W, 3), transparent parts laid over white."""
        if self.own.dtype == np.uint8 and self.own.shape[2] == 3:
            return self.own
        image = Image.fromarray(_squeezed(eight_bits(self.own)))
        if self.own.shape[2] in (2, 4):
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image.convert("RGBA"))
        return np.array(image.convert("RGB"))

    def save(self, path: str | PathLike) -> None:
        """Writes a PNG file of the same depth, channels and colour profile."""
        Path(path).write_bytes(encode_png(self.own, self.profile))


def open_picture(path: str | PathLike) -> Picture:
    """Reads the picture in a file; see `decode_picture`."""
    return decode_picture(Path(path).read_bytes())


def decode_image(data: bytes) -> np.ndarray:
    """Decodes a file for models: uint8 (H, W, 3), transparent parts laid over white."""
    return decode_picture(data).rgb


def decode_picture(data: bytes) -> Picture:
    """Decodes a JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF or JPEG 2000 file from any source.

    The EXIF orientation is applied. Depth (8 or 16 bits), grey, alpha and colour profile are kept;
    palettes become RGB or RGBA, floats from 0 to 1 become 16 bits, CMYK becomes RGB without its
    profile, premultiplied alpha becomes straight. Of several pages or frames the first is taken.

    Raises UnusableImage: empty, not an image, truncated, damaged, over 100 megapixels, or of
    pixels that no library reads.
    """
    if not data:
        raise UnusableImage("empty file")
    deep = _deep_tiff(data)
    if deep is not None:
        return deep
    with _opened(data) as (image, turned):
        notes = (turned or _turn_notes(image)) + _notes(image, data)
        values = _deep_values(image, data)
        own = _upright_values(image) if values is None else _turned(values, _orientation(image))
        if own.size == 0:
            raise UnusableImage("an image without pixels")
        return Picture(own, _profile(image), notes)


def picture_of(image: Image.Image | np.ndarray) -> Picture:
    """Converts a picture in memory as `decode_picture` does a file: upright, in its own depth.

    image: of PIL, whose frame is the current one; or uint8 or uint16 (H, W) or (H, W, C), C as in
    `Picture.own`. Raises UnusableImage for other kinds.
    """
    if isinstance(image, Image.Image):
        if image.mode == "I;16" and isinstance(image.info.get("transparency"), int):
            raise UnusableImage(
                "PIL cannot hold the fill of a 16-bit grey with a transparent value; "
                "maskgit.open_picture can"
            )
        if _keeps_eight_of_sixteen(image):
            warnings.warn(
                "Pillow keeps 8 of the 16 bits of this file; maskgit.open_picture keeps all",
                stacklevel=2,
            )
        try:
            notes = _turn_notes(image) + _notes(image)  # first, as in `_opened`
            return Picture(_upright_values(image), _profile(image), notes)
        except _DAMAGE as error:
            if isinstance(error, UnusableImage):
                raise
            raise UnusableImage("a PIL image that cannot be loaded") from None
    if image.dtype not in (np.uint8, np.uint16) or image.ndim not in (2, 3) or 0 in image.shape:
        raise UnusableImage(
            "an array should be uint8 or uint16 and (H, W) or (H, W, C), "
            f"not {image.dtype} {image.shape}"
        )
    own = np.atleast_3d(image)
    if own.shape[2] > 4:
        raise UnusableImage(f"an array has 1 to 4 channels, not {own.shape[2]}")
    return Picture(own)


def _keeps_eight_of_sixteen(image: Image.Image) -> bool:
    """Returns whether the file of a PIL image that was just opened has 16 bits and PIL keeps 8."""
    if image.format not in ("PNG", "TIFF") or image.mode.startswith("I;16"):
        return False
    rawmodes = [args if isinstance(args, str) else args[0] for *_, args in image.tile]
    return any(";16" in rawmode for rawmode in rawmodes)


def to_pil(picture: Picture) -> Image.Image:
    """Converts a picture of 8 bits, or of 16 in grey, to a PIL image that keeps the profile.

    Its `info` has `filled` and `notes`.
    """
    image = Image.fromarray(_squeezed(picture.own))
    if picture.profile is not None:
        image.info["icc_profile"] = picture.profile
    image.info |= {"filled": picture.filled, "notes": picture.notes}
    return image


def encode_png(pixels: np.ndarray, profile: bytes | None = None) -> bytes:
    """Encodes uint8 or uint16 (H, W) or (H, W, C), C as in `Picture.own`, as a PNG file."""
    pixels = np.atleast_3d(pixels)
    if pixels.dtype == np.uint16:
        return encode_deep_png(pixels, profile)
    file = io.BytesIO()
    Image.fromarray(_squeezed(pixels)).save(file, "PNG", icc_profile=profile)
    return file.getvalue()


def eight_bits(own: np.ndarray) -> np.ndarray:
    """Scales uint8 or uint16 of any shape to uint8, rounded."""
    if own.dtype == np.uint8:
        return own
    return ((own.astype(np.uint32) + _SIXTEEN_BITS // 2) // _SIXTEEN_BITS).astype(np.uint8)


def _squeezed(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def _deep_tiff(data: bytes) -> Picture | None:
    try:
        deep = decode_deep_tiff(data, MAX_PIXELS)
    except UnreadableDepth as error:
        raise UnusableImage(str(error)) from None
    except MemoryError:
        raise UnusableImage(TOO_LARGE) from None
    except _DAMAGE:  # Pillow then names the fault
        return None
    if deep is None:
        return None
    notes = [_TURNED] if deep.orientation in _TURNS else []
    notes += [_FIRST["TIFF"]] if deep.several else []
    notes += deep.notes
    return Picture(_turned(deep.values, deep.orientation), deep.profile, tuple(notes))


@contextmanager
def _opened(data: bytes) -> Iterator[tuple[Image.Image, tuple[str, ...]]]:
    """Yields the image with its pixels loaded, and whether loading has turned it, as notes.

    Faults, in the context too, become UnusableImage.
    """
    # Pillow warns of faults that get a reason here, and of harmless ones (a broken EXIF tag).
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise UnusableImage(f"larger than {MAX_PIXELS // 10**6} megapixels")
                if data[:2] == b"\xff\xd8" and count_scans(data) > MAX_SCANS:
                    raise UnusableImage(f"a JPEG of over {MAX_SCANS} scans")
                # Pillow turns a TIFF as it loads it, and then forgets how it was
                turned = _turn_notes(image) if image.format == "TIFF" else ()
                image.load()
                yield image, turned
        except UnusableImage:
            raise
        except UnreadableDepth as error:
            raise UnusableImage(str(error)) from None
        except Image.DecompressionBombError:
            raise UnusableImage(f"larger than {MAX_PIXELS // 10**6} megapixels") from None
        except MemoryError:
            raise UnusableImage(TOO_LARGE) from None
        except UnidentifiedImageError:
            heic = data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS
            raise UnusableImage(NO_HEIC if heic else "not an image") from None
        except _DAMAGE as error:
            truncated = "truncated" in str(error).lower()
            raise UnusableImage("truncated file" if truncated else "damaged image") from None


def count_scans(data: bytes) -> int:
    """Counts a JPEG's scans up to the end of its image; phones append films and other pictures."""
    count, place = 0, 0
    while match := _JPEG_MARKER.search(data, place):
        marker, place = data[match.end() - 1], match.end()
        if marker == _END_OF_IMAGE:
            break
        if marker not in _WITHOUT_LENGTH:
            count += marker == _START_OF_SCAN
            place += max(2, int.from_bytes(data[place : place + 2]))
    return count


_TURNED = "turned upright by its EXIF orientation"
_FIRST = {"TIFF": "the first of several pages"}


def _turn_notes(image: Image.Image) -> tuple[str, ...]:
    return (_TURNED,) if _orientation(image) in _TURNS else ()


def _notes(image: Image.Image, data: bytes | None = None) -> tuple[str, ...]:
    """Returns notes of an image; data: its file's, without which no depth is told."""
    notes = []
    is_one_of_several = image.format != "MPO" and getattr(image, "is_animated", False)
    if is_one_of_several and image.tell() == 0:  # MPO: a photo and its maps
        notes.append(_FIRST.get(image.format, "the first frame of an animation"))
    bits = {"AVIF": bits_of_avif, "JPEG2000": bits_of_jpeg_2000}.get(image.format)
    if data is not None and bits is not None and 8 < (depth := bits(data)) < 16:
        notes.append(f"8 of {depth} bits of its colours")
    if image.mode == "CMYK":
        notes.append(CMYK_NOTE)
    return tuple(notes)


def _profile(image: Image.Image) -> bytes | None:
    """Returns the ICC profile; None where the colours were converted to RGB, as those of CMYK."""
    return image.info.get("icc_profile") if image.mode not in _LAID_OUT_ANEW else None


def to_square(image: np.ndarray, size: int, fit: str) -> np.ndarray:
    """Fits an image into a square.

    Args:
        image: uint8 array (H, W, 3).
        size: side of the result in pixels, at least 1.
        fit: 'crop' keeps the centre square, 'pad' keeps everything and repeats the edge pixels.

    Returns:
        uint8 array (size, size, 3); the very pixels of `image` where it has that size already.

    Raises:
        ValueError: `fit` is neither of the two.
    """
    height, width = image.shape[:2]
    if fit == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return _resize(image[top : top + side, left : left + side], size, size)
    if fit == "pad":
        # Resized before it is padded: the square of a long strip would not fit in memory.
        scale = size / max(height, width)
        image = _resize(image, max(1, round(height * scale)), max(1, round(width * scale)))
        rows, columns = size - image.shape[0], size - image.shape[1]
        margins = ((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2), (0, 0))
        return np.pad(image, margins, mode="edge")
    raise ValueError(f"fit must be 'crop' or 'pad', not {fit!r}")


def _orientation(image: Image.Image) -> int:
    with suppress(*_DAMAGE):
        return image.getexif().get(_ORIENTATION, 1)
    return 1


def _upright_values(image: Image.Image) -> np.ndarray:
    with suppress(*_DAMAGE):  # unreadable EXIF says nothing about the pixels
        image = ImageOps.exif_transpose(image)
    return _own_values(image)


def _turned(values: np.ndarray, orientation: int) -> np.ndarray:
    return np.ascontiguousarray(_TURNS.get(orientation, lambda a: a)(values))


def _own_values(image: Image.Image) -> np.ndarray:
    """Returns uint8 or uint16 (H, W, C) of an image whose pixels Pillow keeps in full."""
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.uint16)
        clear = image.info.get("transparency")  # the grey that is transparent
        if not isinstance(clear, int):
            return grey[..., None]
        return np.stack([grey, np.where(grey == clear, 0, 65535).astype(np.uint16)], axis=2)
    if image.mode in ("I", "F"):
        raise UnusableImage("pixels of neither 8 nor 16 bits")
    if image.mode == "LAB":
        raise UnusableImage("Lab colours; save it as RGB")
    if image.mode not in ("L", "LA", "RGB", "RGBA") or "transparency" in image.info:
        grey = image.mode in ("1", "L", "La", "LA")
        if image.has_transparency_data:
            image = image.convert("LA" if grey else "RGBA")
        else:
            image = image.convert("L" if grey else "RGB")
    return np.array(image).reshape(image.height, image.width, -1)


def _deep_values(image: Image.Image, data: bytes) -> np.ndarray | None:
    """Returns uint16 (H, W, C), as stored, where Pillow keeps only the upper 8 bits; else None."""
    values = None
    if image.format == "TIFF" and max(image.tag_v2.get(_BITS_PER_SAMPLE, (8,))) > 8:
        raise UnusableImage("damaged image")  # else `_deep_tiff` had read it
    if image.format == "PNG":
        values = decode_deep_png(data)
    elif image.format == "JPEG2000" and image.mode != "I;16" and bits_of_jpeg_2000(data) == 16:
        values = opencv_values(data)
    if values is not None and values.shape[:2] != image.size[::-1]:
        raise UnusableImage("damaged image")
    return values


def _resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    if image.shape[:2] == (height, width):
        return image.copy()
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS)
    return np.array(resized)
