"""Draws grids of images with captions, and reads and writes pictures."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import write_atomically

HOLE_COLOUR = np.array([255, 0, 144], dtype=np.uint8)  # magenta, which no cat has
GAP = 2  # pixels between images
ENLARGED_SIDE = 128  # pixels to which smaller images are enlarged in rows with captions


def grid(images: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Arranges uint8 images (H, W, 3) in rows on a white picture, uint8."""
    height, width, _ = images[0].shape
    rows = -(-len(images) // columns)
    columns = min(columns, len(images))
    shape = (rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3)
    picture = np.full(shape, 255, dtype=np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * (height + GAP), i % columns * (width + GAP)
        picture[top : top + height, left : left + width] = image
    return picture


def picture_name(number: int) -> str:
    """Returns the name of the file of an image's hole or fill."""
    return f"image_{number:03d}.png"


def save_masks(folder: Path, holes: np.ndarray) -> None:
    """Writes holes, bool (N, H, W), as PNG masks of one bit a pixel, white = hole."""
    folder.mkdir()
    for i, hole in enumerate(holes):
        Image.fromarray(hole).save(folder / picture_name(i))


def save_results(folder: Path, images: np.ndarray, first: int = 0) -> None:
    """Writes filled images as PNG files, numbered from `first`."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images, start=first):
        Image.fromarray(image).save(folder / picture_name(i))


def load_picture(path: Path) -> np.ndarray:
    """Reads a picture that a stage wrote. Raises UserError if it is missing or damaged."""
    try:
        return np.asarray(Image.open(path))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; 'dvc repro' makes it") from None
    except (OSError, SyntaxError, ValueError):  # all that Pillow raises for damaged files
        raise UserError(f"{path} is damaged; 'dvc repro' makes it again") from None


def labelled_rows(rows: dict[str, Sequence[np.ndarray]]) -> np.ndarray:
    """Draws a row of images for each caption, with the captions on the left."""
    height = len(next(iter(rows.values()))[0])
    scale = max(1, ENLARGED_SIDE // height)
    font = ImageFont.load_default(size=max(16, scale * height // 8))
    images = grid([image for row in rows.values() for image in row], len(next(iter(rows.values()))))
    images = images.repeat(scale, axis=0).repeat(scale, axis=1)
    side = int(max(font.getlength(caption) for caption in rows)) + 16
    canvas = Image.new("RGB", (side + images.shape[1], images.shape[0]), "white")
    canvas.paste(Image.fromarray(images), (side, 0))
    step = (images.shape[0] + GAP * scale) / len(rows)
    for i, caption in enumerate(rows):
        middle = i * step + (step - GAP * scale) / 2
        ImageDraw.Draw(canvas).text((side - 8, middle), caption, "black", font, anchor="rm")
    return np.asarray(canvas)


def check_png(path: Path) -> None:
    """Raises UserError where the path of a picture to write is not that of a PNG file."""
    if path.suffix.lower() != ".png":
        raise UserError(f"{path}: name a file that ends in .png")


def save_picture(path: Path, *pictures: np.ndarray) -> None:
    """Writes pictures side by side as one file; lower ones are padded with white."""
    height = max(picture.shape[0] for picture in pictures)
    gap = np.full((height, 4 * GAP, 3), 255, dtype=np.uint8)
    parts = []
    for picture in pictures:
        below = height - picture.shape[0]
        parts += [gap, np.pad(picture, ((0, below), (0, 0), (0, 0)), constant_values=255)]
    file = BytesIO()
    Image.fromarray(np.concatenate(parts[1:], axis=1)).save(file, "PNG")
    write_atomically(path, file.getbuffer())
