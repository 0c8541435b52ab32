"""Reads Parquet files of images, as public data sets have them: a row for each image."""

import os
from bisect import bisect_right
from functools import lru_cache, partial
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from maskgit.data.image_files import UnusableImage
from pipeline.inputs.untrusted import EXTENSIONS, PARQUET, Entry, is_hidden, size_fault
from pipeline.plumbing.errors import UserError

_CORRUPT = (pa.ArrowException, OSError, ValueError)
_GROUP_BYTES = 2 * 10**9  # the most of a row group, which is read at once


def is_parquet(name: str) -> bool:
    """Returns whether a file name has the ending of Parquet."""
    return name.lower().endswith(PARQUET)


def list_parquet(path: Path, prefix: str = "") -> list[Entry]:
    """Returns the rows of a file as entries, with the paths in the file, or else numbers, as names.

    Numbers are used unless every row has a relative path of its own, and some of these could be
    those of pictures. The entries are in the order of the rows: a row group is read at once, and
    reading it again for each picture would take long. prefix: the start of all names. Raises
    UserError where the file cannot be used.
    """
    try:
        rows = _Rows(path)
        paths = rows.paths()
    except PermissionError:
        raise UserError(f"{path} may not be read: change its permissions") from None
    except _CORRUPT as error:
        if isinstance(error, OSError) and error.errno:  # a fault of the disk or the system
            raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
        raise UserError(f"{path} is a corrupt Parquet file ({error}): fetch it again") from None
    own = all(paths) and len(set(paths)) == len(paths) and not any(map(os.path.isabs, paths))
    names = paths if own and any(map(_of_a_picture, paths)) else _numbers(rows.count)
    entries = enumerate(map(Path.as_posix, map(Path, names)))
    return [
        Entry(prefix + name, partial(rows.read, row), "")
        for row, name in entries
        if not any(map(is_hidden, name.split("/")))
    ]


def expand_parquet(root: Path, entries: list[Entry]) -> list[Entry]:
    """Returns the entries of a folder with each Parquet file replaced by its rows."""
    expanded = []
    for entry in entries:
        if entry.fault or not is_parquet(entry.file):
            expanded.append(entry)
        else:
            expanded += list_parquet(root / entry.file, f"{entry.file.removesuffix(PARQUET)}/")
    return expanded


def _of_a_picture(path: str) -> bool:
    """Returns whether the path of a row has the ending of a picture, and no hidden part."""
    return path.lower().endswith(EXTENSIONS) and not any(map(is_hidden, Path(path).parts))


def _numbers(count: int) -> list[str]:
    return [f"{row}{EXTENSIONS[0]}" for row in range(count)]  # bytes tell what a picture is


class _Rows:
    """Reads the column of images: binary, or a struct of bytes and path as in `datasets.Image`."""

    def __init__(self, path: Path):
        self.path = path
        with pq.ParquetFile(path) as file:
            self.metadata, self.schema = file.metadata, file.schema_arrow
        self.count = self.metadata.num_rows
        self.column, self.is_struct = _image_column(path, self.schema)
        groups = range(self.metadata.num_row_groups)
        sizes = (self.metadata.row_group(group).num_rows for group in groups)
        self.starts = list(accumulate(sizes, initial=0))

    def paths(self) -> list[str | None]:
        """Returns the path of each row, None where the file has none."""
        kind = self.schema.field(self.column).type
        if not self.is_struct or kind.get_field_index("path") < 0:
            return [None] * self.count
        with pq.ParquetFile(self.path, metadata=self.metadata) as file:
            column = file.read([f"{self.column}.path"]).column(0).combine_chunks()
        return column.field("path").to_pylist()

    def read(self, row: int) -> bytes:
        """Returns the bytes of a picture's file. Raises UnusableImage with the reason."""
        group = bisect_right(self.starts, row) - 1
        data = _read_group(self, group)[row - self.starts[group]].as_py()
        if data is None:
            raise UnusableImage("no bytes in its row")
        if fault := size_fault(len(data)):
            raise UnusableImage(fault)
        return data


@lru_cache(maxsize=1)  # one row group for all files, since a folder may hold a hundred of them
def _read_group(rows: _Rows, group: int) -> pa.Array:
    size = rows.metadata.row_group(group).total_byte_size
    if size > _GROUP_BYTES:
        raise UnusableImage(f"row group of {size / 1e9:.1f} GB; write it with smaller ones")
    leaf = f"{rows.column}.bytes" if rows.is_struct else rows.column
    try:
        with pq.ParquetFile(rows.path, metadata=rows.metadata) as file:  # a folder may hold many
            column = file.read_row_group(group, [leaf]).column(0).combine_chunks()
    except _CORRUPT as error:
        raise UnusableImage(f"damaged in the Parquet file ({error})") from None
    return column.field("bytes") if rows.is_struct else column


def _image_column(path: Path, schema: pa.Schema) -> tuple[str, bool]:
    """Returns the name of the column of images, and whether it is a struct. Raises UserError."""

    def is_binary(kind: pa.DataType) -> bool:
        return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)

    def is_struct(kind: pa.DataType) -> bool:
        fields = pa.types.is_struct(kind) and kind.get_field_index("bytes")
        return fields is not False and fields >= 0 and is_binary(kind.field("bytes").type)

    found = {f.name: is_struct(f.type) for f in schema if is_struct(f.type) or is_binary(f.type)}
    for name in ("image", "img", *(found if len(found) == 1 else ())):
        if name in found:
            return name, found[name]
    what = f"more than one: {', '.join(found)}; call it image" if found else "none"
    raise UserError(f"{path}: which column holds the images? There is {what}")
