"""A model as callers see it: real values in, real values out, whatever the artifact stores."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from edgefleet_agent.child.contents import Contents
from edgefleet_agent.runtimes import open_runtime
from edgefleet_contract import cases
from edgefleet_contract.cases import ArrayForm
from edgefleet_contract.errors import DataMalformed, InferenceFailed
from edgefleet_contract.manifest import TensorSpec

Array = NDArray[np.generic]


class Model:
    """The artifact of an unpacked bundle, loaded.

    Args:
        contents: Of the slot.
        threads: Of the runtime.

    Attributes:
        manifest: Of the bundle.

    Raises:
        RuntimeUnavailable: The runtime it needs is not installed.
        InferenceFailed: The runtime does not load it, or it is not what the manifest says.
    """

    def __init__(self, contents: Contents, *, threads: int) -> None:
        self.manifest = contents.manifest
        artifact = contents.file(self.manifest.artifact)
        self._runtime = open_runtime(self.manifest.runtime, artifact, threads=threads)
        said = ([tuple(spec.shape) for spec in side] for side in (self.manifest.inputs, self.manifest.outputs))
        if tuple(said) != self._runtime.describe():
            raise InferenceFailed(
                f"The artifact has inputs and outputs of the shapes {self._runtime.describe()}",
                expected="those of its manifest",
            )

    def batch(self, arrays: Mapping[str, Array]) -> list[Array]:
        """The inputs in the manifest's order, each ``(n, ...)`` of real values.

        Args:
            arrays: By input name, or ``x`` for a single input; further arrays are ignored.

        Raises:
            DataMalformed: One is missing, has another shape or no numbers, or they differ in n.
        """
        names = cases.inputs_among(self.manifest.inputs, forms_of(arrays))
        return [arrays[name] for name in names]

    def run(self, case: Sequence[Array]) -> list[NDArray[np.float32]]:
        """One inference.

        Args:
            case: One row of each column of :meth:`batch`.

        Returns:
            Real values, float32, without the batch, in the manifest's order.
        """
        stored = [_store(spec, value) for spec, value in zip(self.manifest.inputs, case, strict=True)]
        outputs = self._runtime.run(stored)
        return [_load(spec, output) for spec, output in zip(self.manifest.outputs, outputs, strict=True)]

    def rest(self) -> None:
        """Begin anew where the model keeps a memory of earlier inferences: golden vectors begin so, each of them."""
        self._runtime.rest()


def forms_of(arrays: Mapping[str, Array]) -> dict[str, ArrayForm]:
    """What the contract's rule on cases asks of arrays."""
    return {name: ArrayForm(array.dtype.kind, array.shape) for name, array in arrays.items()}


def _store(spec: TensorSpec, value: Array) -> Array:
    """Real values as the artifact stores them, with the batch of 1: rounded to nearest even, and saturated."""
    dtype = np.dtype(spec.dtype)
    if spec.quantisation is not None:
        limits = np.iinfo(dtype)
        steps = np.rint(np.asarray(value, np.float32) / np.float32(spec.quantisation.scale))
        value = np.clip(steps + spec.quantisation.zero_point, limits.min, limits.max)
    return np.ascontiguousarray(value, dtype).reshape(spec.shape)


def _load(spec: TensorSpec, stored: Array) -> NDArray[np.float32]:
    """What the artifact gives as real values, without the batch."""
    values = stored.astype(np.float32)
    if spec.quantisation is not None:
        values = (values - np.float32(spec.quantisation.zero_point)) * np.float32(spec.quantisation.scale)
    return values.reshape(spec.shape[1:])


def read_arrays(name: str, data: Path | bytes) -> dict[str, Array]:
    """The arrays of the ``.npz`` that is called ``name``; never a pickle.

    Raises:
        DataMalformed: It is none.
    """
    try:
        with _opened(data) as file, np.load(file, allow_pickle=False) as archive:  # numpy would leave it open
            members = {name: archive[name] for name in archive.files}
    except Exception as cause:  # zipfile, zlib and numpy each raise their own on bytes that are none
        raise DataMalformed(f"The file {name!r} cannot be read: {cause}", expected="an .npz of arrays") from cause
    return {name: array for name, array in members.items() if isinstance(array, np.ndarray)}  # others come as bytes


def _opened(data: Path | bytes) -> BinaryIO:
    return io.BytesIO(data) if isinstance(data, bytes) else data.open("rb")


def same_winner(expected: Array, seen: Array) -> bool:
    """Whether both are largest at the same place; a tie agrees if either's place is among the other's largest."""
    first, second = expected.reshape(-1), seen.reshape(-1)
    return bool(second[int(first.argmax())] == second.max() or first[int(second.argmax())] == first.max())
