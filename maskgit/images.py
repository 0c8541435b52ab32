"""From the bytes of an image file to a square RGB array."""

import io
import struct
import warnings
import zlib

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# Pillow's other readers are not needed, and some of them start programs (EPS).
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
MAX_PIXELS = 100_000_000

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
)


class UnusableImage(ValueError):
    """The bytes give no picture; the message says why in one short line."""


def decode_image(data: bytes) -> np.ndarray:
    """Decode a JPEG, PNG, WebP, BMP, GIF or TIFF file to RGB.

    The EXIF orientation is applied, 16-bit grey is scaled to 8 bits, what is transparent is laid
    over white, and of an animation the first frame is taken.

    Args:
        data: the file's bytes, of any origin.

    Returns:
        uint8 array (H, W, 3).

    Raises:
        UnusableImage: empty, not an image, truncated, damaged, or over 100 megapixels.
    """
    if not data:
        raise UnusableImage("empty file")
    # Pillow warns of what ends in a reason here, or does no harm (a broken EXIF tag).
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise UnusableImage(f"larger than {MAX_PIXELS // 10**6} megapixels")
                image.load()
                return np.array(_to_rgb(_upright(image)))
        except UnusableImage:
            raise
        except Image.DecompressionBombError:
            raise UnusableImage(f"larger than {MAX_PIXELS // 10**6} megapixels") from None
        except UnidentifiedImageError:
            raise UnusableImage("not an image") from None
        except _DAMAGE as error:
            truncated = "truncated" in str(error).lower()
            raise UnusableImage("truncated file" if truncated else "damaged image") from None


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
        grey = np.asarray(image).astype(np.float32) / 257  # 65535 = 255 * 257
        return Image.fromarray(np.rint(grey).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise UnusableImage("pixels of neither 8 nor 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    if image.shape[:2] == (height, width):
        return image.copy()
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS)
    return np.array(resized)
