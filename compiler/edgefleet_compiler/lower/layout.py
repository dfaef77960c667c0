"""In which order the elements of a value are stored.

ONNX keeps images as N, C, H, W; TFLite's operators want N, H, W, C. A value of the hub is therefore stored either as it
is or channels last, and a flattened image has its columns in the order of one or the other.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]
Element = TypeVar("Element", bound=np.generic)


@dataclass(frozen=True)
class Layout:
    """The order of a value's elements.

    Attributes:
        axes: The value's own axis that is stored at each position.
        flattened: For a matrix that holds an image in each row: the shape of the images (N, C, H, W), whose axes
            ``axes`` then names. None for every other value.
    """

    axes: tuple[int, ...]
    flattened: tuple[int, ...] | None = None

    @property
    def moves(self) -> bool:
        """Whether any axis is stored elsewhere than in the value."""
        return self.axes != tuple(range(len(self.axes)))

    def store(self, array: NDArray[Element]) -> NDArray[Element]:
        """``array``, which is in the value's own order, in this order; the first axis may have any length."""
        if self.flattened is None:
            return np.ascontiguousarray(array.transpose(self.axes))
        images = array.reshape(array.shape[0], *self.flattened[1:])
        return np.ascontiguousarray(images.transpose(self.axes)).reshape(array.shape)

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The stored shape of a value whose own shape is ``shape``."""
        return shape if self.flattened is not None else tuple(shape[axis] for axis in self.axes)

    def position(self, axis: int) -> int:
        """Where the value's own ``axis`` is stored; negative axes count from the end."""
        return axis if self.flattened is not None else self.axes.index(axis % len(self.axes))


def as_is(rank: int) -> Layout:
    """The layout that moves nothing."""
    return Layout(tuple(range(rank)))


def channels_last(rank: int, flattened: tuple[int, ...] | None = None) -> Layout:
    """The layout with axis 1 moved behind all others; of the images when ``flattened`` is their shape.

    Values of fewer than three axes that hold no images have nothing to move.
    """
    image_rank = rank if flattened is None else len(flattened)
    if image_rank < 3:
        return as_is(rank)
    return Layout((0, *range(2, image_rank), 1), flattened)


class Need(enum.Enum):
    """What order of elements an operator takes or gives."""

    AS_IS = enum.auto()
    CHANNELS_LAST = enum.auto()
    EITHER = enum.auto()  # one of the two, the same for all its values so marked
    ANY = enum.auto()  # each value as it comes: the operator's constants are permuted to fit


@dataclass(frozen=True)
class Demand:
    """What one operator asks of the layouts of its activations.

    Attributes:
        inputs: For all inputs.
        output: For all outputs; never ``ANY``.
    """

    inputs: Need
    output: Need


AS_IS = Demand(Need.AS_IS, Need.AS_IS)
CHANNELS_LAST = Demand(Need.CHANNELS_LAST, Need.CHANNELS_LAST)
EITHER = Demand(Need.EITHER, Need.EITHER)
