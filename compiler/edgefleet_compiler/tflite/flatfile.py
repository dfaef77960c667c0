"""Bounded access to a FlatBuffer that may be truncated or made to harm.

The generated accessors check nothing. Python keeps them inside the file's bytes, but a table may point at a vtable in
front of the file (which Python would read from its end), and a few kilobytes can name the same megabyte a million
times. So every table is checked before its fields are read, and what the file makes us build is counted against its
size.
"""

from __future__ import annotations

import struct
from typing import Any, Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgefleet_contract.errors import ModelMalformed

IDENTIFIER: Final = b"TFL3"
# Items are dimensions, operands, scales, characters of names. Honest files hold one per seven bytes and fewer; small
# ones more, because tables may share vectors, as our own writer makes them.
_ITEMS_PER_BYTE: Final = 1
_ITEMS_ALWAYS: Final = 4096

Accessor = TypeVar("Accessor", bound="_Accessor")


class _Accessor(Protocol):
    """A class of the generated schema: a position in the file, with a method per field."""

    _tab: Any


class Position:
    """Where a table of a union stands, in the shape of a generated class.

    Args:
        table: The ``flatbuffers.table.Table`` that the union's accessor gives; None when the union is absent.
    """

    def __init__(self, table: Any) -> None:
        self._tab = table

    @property
    def where(self) -> tuple[bytes, int]:
        """The file and the byte at which the table starts."""
        return self._tab.Bytes, self._tab.Pos


class FlatFile:
    """The bytes of a TFLite file.

    Args:
        data: The whole file.

    Raises:
        ModelMalformed: The bytes do not carry TFLite's identifier.
    """

    def __init__(self, data: bytes) -> None:
        if data[4:8] != IDENTIFIER:
            raise ModelMalformed(
                f"The file is no TFLite model: its bytes 4 to 7 are {data[4:8]!r}",
                expected=f"{IDENTIFIER!r}",
            )
        self.data = data
        self._items_left = _ITEMS_PER_BYTE * len(data) + _ITEMS_ALWAYS

    def spend(self, items: int) -> None:
        """Count ``items`` that the file makes us build.

        Raises:
            ModelMalformed: The file asks for far more than its size can honestly hold.
        """
        self._items_left -= items
        if self._items_left < 0:
            raise ModelMalformed(
                f"The TFLite file of {len(self.data)} bytes refers to the same parts over and over, "
                "which no converter writes",
                expected="tables and vectors that take about the space they describe",
            )

    def table(self, accessor: Accessor | None, what: str) -> Accessor:
        """``accessor``, once its table and vtable are known to lie inside the file.

        Raises:
            ModelMalformed: They do not, or the table is absent.
            struct.error: The position itself is outside.
        """
        if accessor is None or accessor._tab is None:  # noqa: SLF001 - the generated classes publish it nowhere else
            raise ModelMalformed(f"The TFLite file has no {what}")
        position = accessor._tab.Pos  # noqa: SLF001 - as above
        vtable = position - struct.unpack_from("<i", self.data, position)[0]
        if not 0 <= vtable <= len(self.data) - 4:
            raise ModelMalformed(
                f"The {what} at byte {position} of the TFLite file points to byte {vtable}, outside it"
            )
        vtable_size, table_size = struct.unpack_from("<HH", self.data, vtable)
        if vtable_size < 4 or vtable + vtable_size > len(self.data) or position + table_size > len(self.data):
            raise ModelMalformed(f"The {what} at byte {position} of the TFLite file runs over its end")
        self.spend(1)
        return accessor

    def vector(self, values: NDArray[Any] | int) -> NDArray[Any]:
        """A vector as the generated ``...AsNumpy`` methods give it, where 0 stands for an absent one."""
        if isinstance(values, int):
            return np.empty(0, dtype=np.int64)
        self.spend(values.size)
        return values

    def integers(self, values: NDArray[Any] | int) -> list[int]:
        """A vector of integers, empty when absent."""
        return [int(value) for value in self.vector(values)]

    def text(self, value: bytes | None) -> str:
        """A string, empty when absent.

        Raises:
            UnicodeDecodeError: It is not UTF-8.
        """
        if value is None:
            return ""
        self.spend(len(value))
        return value.decode()

    def slice(self, offset: int, size: int) -> NDArray[np.uint8]:
        """``size`` bytes from byte ``offset`` of the file, without copying.

        Raises:
            ModelMalformed: They are not all there.
        """
        if offset + size > len(self.data):
            raise ModelMalformed(
                f"The TFLite file ends at byte {len(self.data)}, its weights at byte {offset + size}",
                remedy="The file is truncated; fetch it again",
            )
        return np.frombuffer(self.data, dtype=np.uint8, count=size, offset=offset)
