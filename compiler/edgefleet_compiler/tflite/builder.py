"""A FlatBuffers builder that writes equal things once.

A FlatBuffer is a graph of offsets, so equal vectors and equal tables may be one: the shapes, scales and zero points of
a network repeat from layer to layer, and two activations of the same shape and type without names are the same table.
What an offset points at may stand anywhere, so small vectors stand where alignment leaves a gap between large ones.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Final

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

# schema.fbs: Buffer.data is (force_align: 16), so that kernels may read any type from it in place.
_DATA_ALIGNMENT: Final = 16
_LENGTH: Final = 4
"""Bytes of the number that says how long a vector is, in front of it."""


class InterningBuilder:
    """Builds one file; whatever is asked for twice is written once.

    Offsets are those of ``flatbuffers.Builder``: they count from the end of the file.
    """

    def __init__(self) -> None:
        self._flat = flatbuffers.Builder()
        self._written: dict[Hashable, Any] = {}

    def _once(self, key: Hashable, write: Callable[[flatbuffers.Builder], Any]) -> Any:
        """What ``write`` returned when ``key`` was first asked for."""
        if key not in self._written:
            self._written[key] = write(self._flat)
        return self._written[key]

    def text(self, value: str) -> int:
        """A string's offset."""
        offset: int = self._once(("text", value), lambda flat: flat.CreateString(value))
        return offset

    def vector(self, values: NDArray[Any]) -> int:
        """The offset of a one-dimensional vector of numbers."""
        key = ("vector", values.dtype.str, values.tobytes())
        offset: int = self._once(key, lambda flat: flat.CreateNumpyVector(values))
        return offset

    def data(self, content: bytes) -> int:
        """The offset of a buffer's bytes, aligned so that runtimes can read them in place."""

        def write(flat: flatbuffers.Builder) -> Any:
            flat.Prep(_DATA_ALIGNMENT, len(content))
            return flat.CreateByteVector(content)

        offset: int = self._once(("data", content), write)
        return offset

    def lay(self, contents: Iterable[bytes], vectors: Iterable[NDArray[Any]]) -> None:
        """Write buffers one behind the other, and in the gaps between them such vectors as fit.

        Args:
            contents: What ``data`` will be asked for, none of them empty.
            vectors: Of 4-byte numbers, some of what ``vector`` will be asked for.
        """
        fillings = _Fillings(vectors)
        for content in dict.fromkeys(contents):
            while (vector := fillings.take(-(self._flat.Offset() + len(content)) % _DATA_ALIGNMENT)) is not None:
                self.vector(vector)
            self.data(content)

    def tables(self, offsets: Sequence[int]) -> int:
        """The offset of a vector of tables, which stands after (in the file: before) all of them."""

        def write(flat: flatbuffers.Builder) -> Any:
            flat.StartVector(4, len(offsets), 4)
            for offset in reversed(offsets):
                flat.PrependUOffsetTRelative(offset)
            return flat.EndVector()

        offset: int = self._once(("tables", *offsets), write)
        return offset

    def table(self, name: str, **fields: int) -> int:
        """A table's offset.

        Args:
            name: As in the schema, for example ``Tensor``.
            **fields: Scalars, or offsets of what the builder wrote, named as the schema's generated ``TensorAddShape``
                functions name them. Those that equal the schema's default take no space.
        """

        def write(flat: flatbuffers.Builder) -> Any:
            getattr(schema, f"{name}Start")(flat)
            for field, value in fields.items():
                getattr(schema, f"{name}Add{field}")(flat, value)
            return getattr(schema, f"{name}End")(flat)

        offset: int = self._once((name, *fields.items()), write)
        return offset

    def packed(self, table: Any) -> int:
        """The offset of a table given as an object of the generated ``...T`` classes."""
        scratch = flatbuffers.Builder()
        scratch.Finish(table.Pack(scratch))
        offset: int = self._once((type(table).__name__, bytes(scratch.Output())), table.Pack)
        return offset

    def finish(self, root: int, identifier: bytes) -> bytes:
        """The file whose root table is at ``root``."""
        self._flat.Finish(root, identifier)
        return bytes(self._flat.Output())


class _Fillings:
    """Vectors by how far each moves what is written next, modulo the alignment of data."""

    def __init__(self, vectors: Iterable[NDArray[Any]]) -> None:
        different = {(values.dtype.str, values.tobytes()): values for values in vectors}
        self._waiting: dict[int, list[NDArray[Any]]] = {}
        for values in reversed(different.values()):
            self._waiting.setdefault((_LENGTH + values.nbytes) % _DATA_ALIGNMENT, []).append(values)

    def take(self, gap: int) -> NDArray[Any] | None:
        """The next of those that fill most of a gap of so many bytes; None where nothing fits."""
        sizes = [size for size, waiting in self._waiting.items() if waiting and 0 < size <= gap]
        return self._waiting[max(sizes)].pop() if sizes else None


def vector_of_int32(values: Sequence[int]) -> NDArray[np.int32]:
    """Tensor numbers or a shape, as the schema stores them."""
    return np.asarray(values, dtype="<i4")
