"""The state of a training between two epochs, as a file: from it the same steps follow as if nobody had stopped."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.finetune.messages import Epoch

Arrays = list[NDArray[np.float32]]


class State(msgspec.Struct):
    """What the next epoch starts from.

    Attributes:
        epochs: Those that are done, the 0th first.
        best: Which of them was the best.
        weights: As they are.
        first: Mean gradients.
        second: Mean squares of gradients.
        best_weights: As they were after the best epoch.
    """

    epochs: list[Epoch]
    best: int
    weights: Arrays
    first: Arrays
    second: Arrays
    best_weights: Arrays

    def write(self, path: Path) -> None:
        """Write it as an ``.npz``, durably."""
        record = msgspec.json.encode((self.epochs, self.best))
        parts = {"weights": self.weights, "first": self.first, "second": self.second, "best": self.best_weights}
        arrays = {f"{part}/{index}": array for part, found in parts.items() for index, array in enumerate(found)}
        with path.open("wb") as file:
            np.savez(file, record=np.frombuffer(record, np.uint8), **arrays)  # type: ignore[arg-type]  # numpy's stub takes arrays for its option
            file.flush()
            os.fsync(file.fileno())

    @staticmethod
    def read(path: Path, like: Sequence[NDArray[np.float32]]) -> State:
        """Read what ``write`` wrote.

        Args:
            path: The file.
            like: Arrays of the shapes that each part must have.

        Raises:
            ValueError: It is no such file, or one of other weights.
        """
        with np.load(path, allow_pickle=False) as file:
            epochs, best = msgspec.json.decode(file["record"].tobytes(), type=tuple[list[Epoch], int])
            parts = [
                [file[f"{part}/{index}"] for index in range(len(like))]
                for part in ("weights", "first", "second", "best")
            ]
        if any(array.shape != other.shape for part in parts for array, other in zip(part, like, strict=True)):
            raise ValueError("weights of other shapes")
        return State(epochs, best, *parts)
