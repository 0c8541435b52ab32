"""Tries mutated picture files: python -m pipeline.bench.fuzz 10000

Every file has to give a picture and a hole, or one line on what is wrong. A traceback, or a file
that takes longer than LIMIT seconds, ends the run and prints the number that makes the same file.
"""

import io
import signal
import sys
import time

import numpy as np
import tifffile
from PIL import Image

from maskgit.data.image_files import FORMATS, UnusableImage, decode_picture, encode_png
from maskgit.data.masks import marked

LIMIT = 10  # seconds for a file


def sound_files() -> list[bytes]:
    """Returns small pictures of every kind that is read."""
    noise = np.random.default_rng(0).integers(256, size=(12, 10, 3), dtype=np.uint8)
    files = []
    for kind in FORMATS:
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK"):
            file = io.BytesIO()
            try:
                Image.fromarray(noise).convert(mode).save(file, kind)
            except (OSError, ValueError, KeyError):  # a format that has no such pixels
                continue
            files.append(file.getvalue())
    deep = np.dstack([noise, noise[..., :1]]).astype(np.uint16) * 200
    files += [encode_png(deep[..., :channels]) for channels in (1, 2, 3, 4)]
    for compression in (None, "zlib"):
        for pixels, photometric in (
            (deep[..., :3], "rgb"),
            (deep, "separated"),
            (deep[..., 0], "miniswhite"),
            (noise.astype(np.float32) / 255, "rgb"),
        ):
            file = io.BytesIO()
            tifffile.imwrite(file, pixels, photometric=photometric, compression=compression)
            files.append(file.getvalue())
    return files


def mutated(files: list[bytes], number: int) -> bytes:
    """Returns one of the files with bytes replaced, left out or inserted, or cut short.

    The same number gives the same file.
    """
    rng = np.random.default_rng(number)
    data = files[rng.integers(len(files))]
    for _ in range(rng.integers(1, 5)):
        start = int(rng.integers(len(data) + 1))
        stop = start + int(rng.integers(9))
        data = data[:start] + rng.bytes(int(rng.integers(9))) + data[stop:]
    return data[: rng.integers(len(data) + 1)] if rng.random() < 0.2 else data


def fuzz(count: int) -> str:
    """Reads `count` mutated files; returns a line on how many gave a picture, and the time."""
    files, pictures, started, slowest = sound_files(), 0, time.perf_counter(), 0.0
    for number in range(count):
        data, begun = mutated(files, number), time.perf_counter()
        signal.alarm(LIMIT)
        try:
            marked(decode_picture(data))
            pictures += 1
        except UnusableImage:
            pass
        except (Exception, Hangs):  # what no reader should raise: the number repeats it
            print(f"file {number}:", file=sys.stderr)
            raise
        finally:
            signal.alarm(0)
        slowest = max(slowest, time.perf_counter() - begun)
    seconds = time.perf_counter() - started
    return (
        f"{count} files: {pictures} read, {count - pictures} refused in a line; "
        f"{seconds:.0f} s, the slowest {slowest:.2f} s"
    )


class Hangs(BaseException):  # a reader would take an Exception for a damaged file
    """Raised when a file takes longer than LIMIT seconds."""


def _hangs(signum: int, frame: object) -> None:
    raise Hangs(f"takes over {LIMIT} seconds")


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, _hangs)
    print(fuzz(int(sys.argv[1])))
