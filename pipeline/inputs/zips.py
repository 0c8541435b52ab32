"""Reads zips of pictures in place; nothing is unpacked to disk."""

import errno
import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from maskgit.data.image_files import UnusableImage
from pipeline.inputs.untrusted import Entry, is_hidden, size_fault
from pipeline.plumbing.errors import UserError

_CHUNK = 4096  # bytes
# APPNOTE 6.3.10, sections 4.3.15 and 4.3.16: the last record, and the one before it in Zip64.
_END, _ZIP64 = b"PK\5\6", b"PK\6\7"
_ZIP64_SIZE = 20  # bytes
_LONGEST_END = _ZIP64_SIZE + 22 + 65535  # bytes, with the longest comment

# What zipfile raises for bytes that it cannot open as a zip. NotImplementedError: a version later
# than 6.3. UnicodeDecodeError: a name that is marked as UTF-8 and is not. BadZipFile: all else.
# None of them proves damage. A later version may be sound, and so may a zip whose tool marks all
# names as UTF-8. An earlier part of a split zip, and a zip whose list of files is encrypted or
# signed, look damaged; the last part has a message of its own (_is_part). So the message says that
# the zip may be of a kind that Python cannot read. An OSError is no fault of the zip, but of the
# file or the disk. Where the end of the file cannot be read, zipfile would call it a BadZipFile;
# _is_part reads the end before.
_UNREADABLE_ZIP = (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError)
# What it raises where it cannot read one of the files: an offset that no file has is a ValueError
# or OSError; an unknown method or flag, and an encryption of which the list says nothing, are a
# RuntimeError.
_UNREADABLE_FILE = (
    zipfile.BadZipFile,
    ValueError,
    OSError,
    RuntimeError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
)
# Not bzip2, which packs gigabytes of equal bytes into a few.
_UNPACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)
# With the methods of PKWARE's APPNOTE 6.3.10, section 4.4.5, whose names zipfile lacks.
_METHODS = zipfile.compressor_names | {
    16: "cmpsc",
    20: "zstd",
    93: "zstd",
    94: "mp3",
    95: "xz",
    96: "jpeg",
}
_PATCH = 0x20  # flag of an entry that holds the changes to a file, not the file


def is_zip(path: Path) -> bool:
    """Returns whether a file is a zip by content or by name; a damaged one counts by its name."""
    try:
        return path.suffix.lower() == ".zip" or zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # raised for the last part of a split Zip64
        return True


@contextmanager
def opened_zip(path: Path) -> Iterator[list[Entry]]:
    """Yields a zip's files, readable within the context. Raises UserError where it is unusable."""
    try:
        if _is_part(path):
            raise UserError(f"{path} is a part of a split zip: join its parts")
        archive = zipfile.ZipFile(path)
    except PermissionError:
        raise UserError(f"{path} may not be read: change its permissions") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    except _UNREADABLE_ZIP as error:
        fault = f"{error}; or of a kind that Python cannot read, to be packed anew"
        raise UserError(f"{path} is a corrupt zip ({fault}): fetch it again") from None
    with archive:
        yield _list_zip(archive)


def _is_part(path: Path) -> bool:
    """Returns whether a file is the last part of a split zip, the one that is called .zip.

    Its last record has the number of the part, from 0. In Zip64 the record before has the number of
    parts, and the last one may have 65535.
    """
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LONGEST_END))
        end = file.read()
    start = end.rfind(_END)
    if start < 0:
        return False
    before = end[max(0, start - _ZIP64_SIZE) : start]
    if before.startswith(_ZIP64):
        return int.from_bytes(before[16:], "little") > 1
    return int.from_bytes(end[start + 4 : start + 6], "little") not in (0, 65535)


def _list_zip(archive: zipfile.ZipFile) -> list[Entry]:
    entries, overlapping = [], _overlapping(archive.infolist())
    for info in archive.infolist():
        file = info.filename.replace("\\", "/")
        if not file.endswith("/") and not any(map(is_hidden, file.split("/"))):
            overlap = "overlaps another file of the zip" if id(info) in overlapping else ""
            fault = _zip_fault(info) or overlap
            entries.append(Entry(file, partial(_read_zipped, archive, info), fault))
    return entries


def _overlapping(infos: list[zipfile.ZipInfo]) -> set[int]:
    """Returns the ids of the entries that share bytes with another.

    Such a zip is a bomb that unpacks the same data again and again (Fifield, "A better zip bomb",
    2019).
    """
    found, end, last = set(), -1, None
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            found |= {id(info), id(last)}
        if info.header_offset + info.compress_size >= end:
            end, last = info.header_offset + info.compress_size, info
    return found


def _zip_fault(info: zipfile.ZipInfo) -> str:
    if re.match(r"[/\\]|[A-Za-z]:", info.filename) or ".." in re.split(r"[/\\]", info.filename):
        return "path that leads out of the zip"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "link in the zip"
    if info.flag_bits & 1:
        return "encrypted"
    if info.flag_bits & _PATCH:
        return "a patch to a file, not the file"
    method = _METHODS.get(info.compress_type)
    if method and info.compress_type not in _UNPACKED:
        return f"packed with {method}; use deflate"
    return size_fault(info.file_size)


def _read_zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(info) as file:
            # In small chunks: if read at once, an entry of a kilobyte may unpack to gigabytes.
            return b"".join(iter(partial(file.read, _CHUNK), b""))
    except _UNREADABLE_FILE as error:
        fault = f"cannot be read: {error.strerror}" if _disk_failed(error) else "damaged in the zip"
        raise UnusableImage(fault) from None


def _disk_failed(error: Exception) -> bool:
    """Returns whether the disk caused an error, not damaged bytes (EINVAL, or no error number)."""
    return isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)
