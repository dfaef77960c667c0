"""What a model takes and gives: name, shape, element type and axes of each input and output."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgefleet_contract.manifest import Affine

# One inference's inputs by name, in the order of the source model.
Sample = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of the source model or of an artifact.

    Attributes:
        name: As in the model.
        shape: Static, the batch of 1 included.
        dtype: The stored element type.
        axes: ``"NHWC"``, ``"NCHW"``, or ``""`` where the axes have no such names.
        quantisation: What stored integers stand for; None for plain numbers.
        reach: The least and the largest real value that a quantised source tells apart; None where nothing says so.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    axes: str = ""
    quantisation: Affine | None = None
    reach: tuple[float, float] | None = None

    def store(self, real: NDArray[np.generic]) -> NDArray[np.generic]:
        """Real values as they are stored: rounded to nearest, ties to even, and saturated."""
        if self.quantisation is None:
            return real
        limits = np.iinfo(self.dtype)  # type: ignore[type-var]  # only integers are quantised
        steps = np.rint(np.asarray(real, np.float32) / np.float32(self.quantisation.scale))
        shifted = np.clip(steps + self.quantisation.zero_point, limits.min, limits.max)
        return np.asarray(shifted, self.dtype)

    def load(self, stored: NDArray[np.generic]) -> NDArray[np.generic]:
        """Stored values as real ones."""
        if self.quantisation is None:
            return stored
        steps = stored.astype(np.float32) - np.float32(self.quantisation.zero_point)
        return np.asarray(steps * np.float32(self.quantisation.scale))

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of one case in a data file: without the batch where it is 1."""
        return self.shape[1:] if self.shape[:1] == (1,) else self.shape

    @property
    def is_image(self) -> bool:
        """Whether a grey or colour picture fits in."""
        return self.axes in ("NHWC", "NCHW") and self.channels in (1, 3)

    @property
    def channels(self) -> int:
        """The extent of the channel axis of a tensor with named axes."""
        return self.shape[self.axes.index("C")]

    @property
    def height_width(self) -> tuple[int, int]:
        """The spatial extents of a tensor with named axes."""
        return self.shape[self.axes.index("H")], self.shape[self.axes.index("W")]


def guess_axes(shape: tuple[int, ...], model_format: str) -> str:
    """The axes of a tensor by its shape alone: the one with as few elements as a picture has channels, else the habit.

    Args:
        shape: Of the tensor; tensors that are not 4-D have no named axes.
        model_format: "onnx" is channels first by habit, "tflite" channels last.
    """
    if len(shape) != 4:
        return ""
    channels_first, channels_last = shape[1] in (1, 3), shape[3] in (1, 3)
    if channels_first != channels_last:
        return "NCHW" if channels_first else "NHWC"
    return "NCHW" if model_format == "onnx" else "NHWC"
