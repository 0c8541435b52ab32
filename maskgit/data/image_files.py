"""From the bytes of an image file to arrays: RGB, a square of it, the file's own values."""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# Pillow's other readers are not needed, and some of them start programs (EPS).
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
MAX_PIXELS = 100_000_000
MAX_SCANS = 100  # of a progressive JPEG: each one costs a pass over all pixels; most files have 10
_START_OF_SCAN = b"\xff\xda"
_SIXTEEN_BITS = 257  # 65535 = 255 * 257

_ORIENTATION, _BITS_PER_SAMPLE = 0x0112, 258  # tags of EXIF and TIFF
_OPENCV_ORDER = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}  # it says BGRA for RGBA
_TURNS = {  # EXIF orientation -> upright
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}

# What Pillow lets through from damaged headers, chunks, tags and pixel data.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    EOFError,
    OverflowError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
    cv2.error,
)


class UnusableImage(ValueError):
    """The bytes give no picture; the message says why in one short line."""


class Picture(NamedTuple):
    """A picture as models see it, and as its file has it."""

    rgb: np.ndarray  # uint8 (H, W, 3), what is transparent laid over white
    own: np.ndarray  # uint8 or uint16 (H, W, C): grey, grey and alpha, RGB, or RGB and alpha
    profile: bytes | None = None  # the ICC colour profile that `own` is meant in


def decode_image(data: bytes) -> np.ndarray:
    """Decode a JPEG, PNG, WebP, BMP, GIF or TIFF file to RGB.

    The EXIF orientation is applied, 16-bit values are scaled to 8 bits, what is transparent is laid
    over white, and of an animation the first frame is taken.

    Args:
        data: the file's bytes, of any origin.

    Returns:
        uint8 array (H, W, 3).

    Raises:
        UnusableImage: empty, not an image, truncated, damaged, or over 100 megapixels.
    """
    with _opened(data) as image:
        return np.array(_to_rgb(_upright(image)))


def decode_picture(data: bytes) -> Picture:
    """As `decode_image`, with the file's own values too: its depth, its greys, its alpha.

    Palettes become RGB or RGBA, and so do the colour spaces that PNG does not know (CMYK).
    Raises UnusableImage alike.
    """
    with _opened(data) as image:
        rgb = np.array(_to_rgb(_upright(image)))
        if _has_deep_colour(image, data):
            own = _deep_colour(data, image.getexif().get(_ORIENTATION, 1))
        else:
            own = _own_values(_upright(image))
        if own.shape[:2] != rgb.shape[:2]:
            raise UnusableImage("damaged image")
        return Picture(rgb, own, _profile(image))


def picture_of(image: Image.Image | np.ndarray) -> Picture:
    """A picture in memory as `decode_picture` gives a file, but not turned.

    image: of PIL, or uint8 or uint16 (H, W) or (H, W, C), C as in `Picture.own`. Raises
    UnusableImage for other kinds.
    """
    if isinstance(image, Image.Image):
        return Picture(np.array(_to_rgb(image)), _own_values(image), _profile(image))
    if image.dtype not in (np.uint8, np.uint16) or image.ndim not in (2, 3) or 0 in image.shape:
        raise UnusableImage(
            "an array should be uint8 or uint16 and (H, W) or (H, W, C), "
            f"not {image.dtype} {image.shape}"
        )
    own = np.atleast_3d(image)
    if own.shape[2] > 4:
        raise UnusableImage(f"an array has 1 to 4 channels, not {own.shape[2]}")
    eight_bits = own if own.dtype == np.uint8 else np.rint(own / _SIXTEEN_BITS).astype(np.uint8)
    pillow = Image.fromarray(eight_bits[..., 0] if own.shape[2] == 1 else eight_bits)
    return Picture(np.array(_to_rgb(pillow)), own)


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """The image with its pixels loaded; whatever fails, here or in the context, has a reason."""
    if not data:
        raise UnusableImage("empty file")
    # Pillow warns of what ends in a reason here, or does no harm (a broken EXIF tag).
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise UnusableImage(f"larger than {MAX_PIXELS // 10**6} megapixels")
                if image.format == "JPEG" and data.count(_START_OF_SCAN) > MAX_SCANS:
                    raise UnusableImage(f"a JPEG of over {MAX_SCANS} scans")
                image.load()
                yield image
        except UnusableImage:
            raise
        except Image.DecompressionBombError:
            raise UnusableImage(f"larger than {MAX_PIXELS // 10**6} megapixels") from None
        except UnidentifiedImageError:
            raise UnusableImage("not an image") from None
        except _DAMAGE as error:
            truncated = "truncated" in str(error).lower()
            raise UnusableImage("truncated file" if truncated else "damaged image") from None


def encode_png(pixels: np.ndarray, profile: bytes | None = None) -> bytes:
    """A PNG file of uint8 or uint16 (H, W) or (H, W, C), C as in `Picture.own`."""
    pixels = np.atleast_3d(pixels)
    if pixels.dtype == np.uint16:  # Pillow has no 16-bit colours
        deep = cv2.imencode(".png", pixels[..., _OPENCV_ORDER[pixels.shape[2]]])[1].tobytes()
        return deep if profile is None else _with_profile(deep, profile)
    file = io.BytesIO()
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.save(file, "PNG", icc_profile=profile)
    return file.getvalue()


def _with_profile(png: bytes, profile: bytes) -> bytes:
    """The file with an iCCP chunk (PNG specification, 11.3.2.3) behind its header."""
    content = b"iCCP" + b"ICC profile\0\0" + zlib.compress(profile)
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    header = 8 + 25  # signature and IHDR
    return png[:header] + chunk + png[header:]


def _profile(image: Image.Image) -> bytes | None:
    """Of colours that are kept; one of CMYK says nothing of the RGB that is made of it."""
    return image.info.get("icc_profile") if image.mode not in ("CMYK", "LAB", "YCbCr") else None


def to_square(image: np.ndarray, size: int, fit: str) -> np.ndarray:
    """Fit an image into a square.

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


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except _DAMAGE:  # unreadable EXIF says nothing about the pixels
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.float32) / _SIXTEEN_BITS
        return Image.fromarray(np.rint(grey).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise UnusableImage("pixels of neither 8 nor 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _own_values(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)[..., None]
    if image.mode not in ("L", "LA", "RGB", "RGBA") or "transparency" in image.info:
        alike = "L" if image.mode == "1" else "RGB"
        image = image.convert("RGBA" if image.has_transparency_data else alike)
    return np.array(image).reshape(image.height, image.width, -1)


# Pillow gives the upper eight bits of colours that have sixteen; OpenCV gives all of them.


def _has_deep_colour(image: Image.Image, data: bytes) -> bool:
    if image.mode.startswith("I;16"):
        return False
    if image.format == "PNG":
        return data[24] == 16  # bit depth in the header
    return image.format == "TIFF" and 16 in image.tag_v2.get(_BITS_PER_SAMPLE, ())


def _deep_colour(data: bytes, orientation: int) -> np.ndarray:
    """uint16 (H, W, C), upright."""
    # it would warn on stderr of what Pillow has read
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16:
        raise UnusableImage("16-bit colours in an unknown form")
    values = np.atleast_3d(values)
    values = values[..., _OPENCV_ORDER[values.shape[2]]]
    return np.ascontiguousarray(_TURNS.get(orientation, lambda a: a)(values))


def _resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    if image.shape[:2] == (height, width):
        return image.copy()
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS)
    return np.array(resized)
