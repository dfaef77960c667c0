"""One array inside an ``.npz``: its header, and its rows one by one.

``numpy.load`` reads a whole array of an ``.npz`` into memory. Here it is read row by row, compressed or not, so that a
set may be larger than memory and a small file cannot ask for a large one. Stored arrays in Fortran order are mapped:
their rows lie all over them.

Format: NEP 1, "A simple file format for NumPy arrays"; ``numpy.lib.format``.
"""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from edgefleet_compiler.data.casting import check_numeric
from edgefleet_contract.errors import DataMalformed

_WHOLE_LIMIT = 1 << 30  # bytes of an array that must be read at once
_LOCAL_HEADER = struct.Struct("<26xHH")  # APPNOTE.TXT 4.3.7: lengths of name and extra field close the 30 bytes


@dataclass(frozen=True)
class NpyArray:
    """An array of an ``.npz`` that has not been read yet.

    Attributes:
        path: The ``.npz``.
        info: Its entry there.
        name: Its name without ``.npy``.
        shape: The first axis counts the rows.
        dtype: A numeric element type.
        fortran_order: Whether the first axis varies fastest, so that no row is contiguous.
        data_offset: Where the elements start within the entry.
    """

    path: Path
    info: zipfile.ZipInfo
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    fortran_order: bool
    data_offset: int

    def rows(self) -> Iterator[NDArray[np.generic]]:
        """Each row of shape ``shape[1:]``, in order.

        Raises:
            DataMalformed: While iterating: the file is truncated or damaged.
        """
        if not self.fortran_order:
            yield from self._read_rows()
        elif self.info.compress_type == zipfile.ZIP_STORED:
            yield from self._map()
        else:
            yield from self.read()

    def read(self) -> NDArray[np.generic]:
        """The whole array.

        Raises:
            DataMalformed: It is too large to be read at once, or damaged.
        """
        count = math.prod(self.shape)
        if count * self.dtype.itemsize > _WHOLE_LIMIT:
            raise DataMalformed(
                f"The array {self.name!r} has {count * self.dtype.itemsize} bytes and must be read at once",
                expected=f"at most {_WHOLE_LIMIT}",
                remedy="Save it in C order: numpy.ascontiguousarray(array).",
            )
        with self._open() as stream:
            flat = np.frombuffer(self._read_exactly(stream, count * self.dtype.itemsize), self.dtype)
        return flat.reshape(self.shape, order="F" if self.fortran_order else "C")

    def _map(self) -> NDArray[np.generic]:
        with self.path.open("rb") as file:
            file.seek(self.info.header_offset)
            name_bytes, extra_bytes = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        start = self.info.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes + self.data_offset
        return np.memmap(
            self.path, self.dtype, mode="r", offset=start, shape=self.shape, order="F" if self.fortran_order else "C"
        )

    def _read_rows(self) -> Iterator[NDArray[np.generic]]:
        row_shape = self.shape[1:]
        row_bytes = math.prod(row_shape) * self.dtype.itemsize
        with self._open() as stream:
            for _ in range(self.shape[0]):
                yield np.frombuffer(self._read_exactly(stream, row_bytes), self.dtype).reshape(row_shape)

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        """The entry, unpacked, at its first element."""
        with zipfile.ZipFile(self.path) as archive, archive.open(self.info) as stream:
            self._read_exactly(stream, self.data_offset)
            yield stream

    def _read_exactly(self, stream: IO[bytes], size: int) -> bytes:
        try:
            data = stream.read(size)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as cause:
            raise DataMalformed(f"The array {self.name!r} of {str(self.path)!r} is damaged: {cause}") from cause
        if len(data) != size:
            raise DataMalformed(f"The array {self.name!r} of {str(self.path)!r} ends too early")
        return data


def list_arrays(path: Path) -> dict[str, NpyArray]:
    """The arrays of an ``.npz`` by name; only headers are read.

    Raises:
        DataMalformed: No ``.npz``, or an array that is none of numbers.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = [_read_header(path, archive, info) for info in archive.infolist()]
    except (zipfile.BadZipFile, OSError, NotImplementedError, EOFError, zlib.error) as cause:
        raise DataMalformed(
            f"The file {str(path)!r} is no .npz: {cause}", expected="arrays saved by numpy.savez or savez_compressed"
        ) from cause
    return {array.name: array for array in arrays}


def _read_header(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NpyArray:
    name = info.filename.removesuffix(".npy")
    with archive.open(info) as stream:
        try:
            version = npy_format.read_magic(stream)
            read = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}[version]
            shape, fortran_order, dtype = read(stream)
        except (ValueError, KeyError, EOFError, SyntaxError) as cause:
            raise DataMalformed(f"The entry {info.filename!r} of {str(path)!r} is no array: {cause}") from cause
        offset = stream.tell()
    check_numeric(name, dtype)
    if not shape:
        raise DataMalformed(f"The array {name!r} has no axes", expected="the first axis to count the rows")
    if offset + math.prod(shape) * dtype.itemsize != info.file_size:
        raise DataMalformed(f"The array {name!r} of {str(path)!r} does not have the size that its header says")
    return NpyArray(path, info, name, shape, dtype, fortran_order, offset)
