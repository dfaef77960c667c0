"""Tensors of a TFLite file: names, shapes, quantisation, constants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.four_bits import INT4, stored_bytes, unpacked
from edgefleet_compiler.lowered.graph import Quantisation, Tensor
from edgefleet_compiler.tflite.element_types import dtype_of, type_name
from edgefleet_compiler.tflite.flatfile import FlatFile
from edgefleet_contract.errors import ModelMalformed

_LARGEST_RANK: Final = 8
# Activations have no bytes in the file, so nothing but this bounds what running the model would take.
_ACTIVATION_BYTES: Final = 2**31
# Buffer offsets 0 and 1 mean that the data, if any, stand in the FlatBuffer (schema.fbs, table Buffer).
_FIRST_OUTER_OFFSET: Final = 2


class TensorReader:
    """Reads a subgraph's tensors by number.

    Args:
        flat: The file.
        model: Its root table.
        subgraph: The subgraph whose tensors these are.

    Raises:
        ModelMalformed: Tables or buffers that are not wholly in the file.
    """

    def __init__(self, flat: FlatFile, model: Any, subgraph: Any) -> None:
        self._flat = flat
        self._tables = [
            flat.table(subgraph.Tensors(index), f"tensor {index}") for index in range(subgraph.TensorsLength())
        ]
        self._buffers = [
            self._buffer(flat.table(model.Buffers(index), f"buffer {index}")) for index in range(model.BuffersLength())
        ]
        self._names: dict[int, str] = {}
        self._activation_bytes_left = _ACTIVATION_BYTES

    def name_all(self, inputs: list[int], outputs: list[int], uses: Iterable[int]) -> None:
        """Give every used tensor its unique name: inputs and outputs choose first, then as execution meets them.

        Args:
            inputs: The graph's inputs.
            outputs: The graph's outputs.
            uses: Every use of a tensor in execution order.

        Raises:
            ModelMalformed: A number that no tensor has.
        """
        met = dict.fromkeys(uses)
        nameless = {index: f"tensor_{position}" for position, index in enumerate(met)}
        taken: set[str] = set()
        suffixes: dict[str, Iterator[int]] = {}
        for index in dict.fromkeys([*inputs, *outputs, *met]):
            if not 0 <= index < len(self._tables):
                raise ModelMalformed(f"The TFLite file uses tensor {index} and has {len(self._tables)}")
            base = name = self._flat.text(self._tables[index].Name()) or nameless[index]
            while name in taken:
                name = f"{base}_{next(suffixes.setdefault(base, count(1)))}"
            taken.add(name)
            self._names[index] = name

    def name(self, index: int) -> str:
        """The unique name of a used tensor."""
        return self._names[index]

    def why_unsupported(self, index: int) -> str | None:
        """Why the lowered graph cannot hold this tensor; None when it can."""
        table = self._tables[index]
        if dtype_of(table.Type()) is None:
            return f"elements of {type_name(table.Type())} are not compiled"
        if table.Sparsity() is not None:
            return "sparse weights are not compiled"
        if table.ExternalBuffer():
            return "weights in another file are not compiled"
        quantisation = table.Quantization()
        if quantisation is not None and self._flat.table(quantisation, "quantisation table").DetailsType():
            return "blockwise and custom quantisation are not compiled"
        return None

    def is_state(self, index: int) -> bool:
        """Whether the tensor keeps its value from inference to inference."""
        return bool(self._tables[index].IsVariable())

    def why_open(self, index: int) -> str | None:
        """Why an input's shape is not static; None when it is, but for the batch, which is made 1."""
        table = self._tables[index]
        signature = self._flat.integers(table.ShapeSignatureAsNumpy()) or self._flat.integers(table.ShapeAsNumpy())
        if -1 not in signature[1:]:
            return None
        return f"its shape {signature} is open (-1) beyond the batch; convert the model with a fixed input shape"

    def activation(self, index: int) -> Tensor:
        """A tensor that the graph's caller or an operator writes.

        Raises:
            ModelMalformed: It holds constant data, or all activations together are beyond any edge device.
        """
        tensor = self._tensor(index)
        if self._data(index).size:
            raise ModelMalformed(f"Tensor {tensor.name!r} of the TFLite file is constant and written as well")
        self._activation_bytes_left -= prod(tensor.shape) * tensor.dtype.itemsize
        if self._activation_bytes_left < 0:
            raise ModelMalformed(
                f"The activations of the TFLite file, up to {tensor.name!r} of shape {list(tensor.shape)}, "
                f"take more than {_ACTIVATION_BYTES >> 20} MiB",
                expected="a model for an edge device",
            )
        return tensor

    def constant(self, index: int) -> Tensor:
        """A tensor that is read and that nothing has written, so that the file must hold its value; or a state.

        Raises:
            ModelMalformed: It holds none, or not as many bytes as shape and type say; or a state holds any.
        """
        if self.is_state(index):
            return replace(self.activation(index), variable=True)
        tensor = self._tensor(index)
        data = self._data(index)
        size = stored_bytes(tensor.shape, tensor.dtype)
        if not data.size and size:
            raise ModelMalformed(
                f"Tensor {tensor.name!r} of the TFLite file is read before anything writes it",
                expected="a constant, or operators in execution order",
            )
        if data.size != size:
            raise ModelMalformed(
                f"Tensor {tensor.name!r} of the TFLite file has {data.size} bytes of data",
                expected=f"{size} bytes for shape {list(tensor.shape)} of {tensor.dtype}",
            )
        if tensor.dtype == INT4:
            tensor.data = unpacked(data, tensor.shape)
        else:
            tensor.data = data.view(tensor.dtype.newbyteorder("<")).reshape(tensor.shape)
        return tensor

    def _tensor(self, index: int) -> Tensor:
        table = self._tables[index]
        name = self._names[index]
        shape = self._flat.integers(table.ShapeAsNumpy())
        if shape and shape[0] == -1:
            shape[0] = 1
        if len(shape) > _LARGEST_RANK or min(shape, default=0) < 0:
            raise ModelMalformed(
                f"Tensor {name!r} of the TFLite file has the shape {shape}",
                expected=f"at most {_LARGEST_RANK} dimensions, all known but the batch",
            )
        dtype = dtype_of(table.Type())
        assert dtype is not None, "the reader asks why_unsupported first"
        quantisation = None if np.issubdtype(dtype, np.floating) else self._quantisation(table, name, tuple(shape))
        return Tensor(name, tuple(shape), dtype, quantisation)

    def _quantisation(self, table: Any, name: str, shape: tuple[int, ...]) -> Quantisation | None:
        if table.Quantization() is None:
            return None
        parameters = self._flat.table(table.Quantization(), "quantisation table")
        scale = self._flat.vector(parameters.ScaleAsNumpy())
        if not scale.size:
            return None
        zero_point = self._flat.vector(parameters.ZeroPointAsNumpy())
        if not zero_point.size:
            zero_point = np.zeros(scale.size, dtype=np.int64)
        axis = parameters.QuantizedDimension()
        if scale.size == 1 or (len(shape) == 1 and axis != 0):
            # Old converters gave biases the weights' axis (3), which LiteRT refuses; there is but one it can mean.
            axis = 0
        if zero_point.size != scale.size or not np.all(np.isfinite(scale) & (scale > 0)):
            raise ModelMalformed(
                f"Tensor {name!r} of the TFLite file is quantised with {scale.size} scales, the least {scale.min()}, "
                f"and {zero_point.size} zero points",
                expected="positive scales, and a zero point to each",
            )
        if scale.size > 1 and not (0 <= axis < len(shape) and shape[axis] == scale.size):
            raise ModelMalformed(
                f"Tensor {name!r} of the TFLite file, of shape {list(shape)}, "
                f"has {scale.size} scales along axis {axis}",
                expected="one scale, or one per channel",
            )
        return Quantisation(scale, zero_point, axis)

    def _data(self, index: int) -> NDArray[np.uint8]:
        number: int = self._tables[index].Buffer()
        if number >= len(self._buffers):
            raise ModelMalformed(
                f"Tensor {self._names[index]!r} of the TFLite file has its data in buffer {number}",
                expected=f"one of the {len(self._buffers)} buffers",
            )
        return self._buffers[number]

    def _buffer(self, table: Any) -> NDArray[np.uint8]:
        if table.Offset() >= _FIRST_OUTER_OFFSET:
            return self._flat.slice(table.Offset(), table.Size())
        if table.DataIsNone():
            return np.empty(0, dtype=np.uint8)
        data: NDArray[np.uint8] = table.DataAsNumpy()
        return data
