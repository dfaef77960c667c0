"""The sliding window of convolutions and pools, always over two axes: one-dimensional ones have a height of 1."""

from __future__ import annotations

from dataclasses import dataclass

from edgefleet_compiler.lower.layout import Shape
from edgefleet_compiler.lower.site import Site
from edgefleet_compiler.lowered.graph import AttributeValue
from edgefleet_compiler.lowered.padding import is_same, needed_after, reach

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """Height and width of everything that places a window (ONNX operator specification, Conv and MaxPool).

    Attributes:
        extent: Of the input.
        kernel: Elements of the window.
        strides: Between two windows.
        dilations: Between two elements of a window; 1 leaves no gap.
        before: Padding in front.
        padded_after: Padding behind, as the node has it.
        outputs: Of the output.
    """

    extent: Pair
    kernel: Pair
    strides: Pair
    dilations: Pair
    before: Pair
    padded_after: Pair
    outputs: Pair

    @property
    def span(self) -> Pair:
        """Elements from the first to the last of a window."""
        return reach(self.kernel[0], self.dilations[0]), reach(self.kernel[1], self.dilations[1])

    @property
    def after(self) -> Pair:
        """Padding behind that the last window reaches; less than the node's where that is never read."""
        height, width = (
            needed_after(self.extent[axis], self.span[axis], self.strides[axis], self.before[axis], self.outputs[axis])
            for axis in (0, 1)
        )
        return height, width

    @property
    def is_same(self) -> bool:
        """Whether TFLite's SAME places the windows so."""
        return all(
            is_same(self.extent[axis], self.span[axis], self.strides[axis], self.before[axis], self.outputs[axis])
            for axis in (0, 1)
        )

    @property
    def stride_attributes(self) -> dict[str, AttributeValue]:
        """The strides as TFLite's options tables name them."""
        return {"stride_h": self.strides[0], "stride_w": self.strides[1]}


def window_of(site: Site, kernel: Shape) -> Window:
    """The window of a convolution with the given spatial kernel shape.

    Raises:
        Unsupported: It slides over three axes or more.
    """
    if len(kernel) > 2:
        site.refuse(f"it slides over {len(kernel)} axes; TFLite's runtimes slide over two")
    return plane_window(site, kernel)


def plane_window(site: Site, kernel: Shape) -> Window:
    """The part of a window that slides over the last two axes."""
    axes = len(kernel)
    pads = site.ints("pads", [0] * (2 * axes))
    return Window(
        extent=_pair(site.shape(0)[2:], 1),
        kernel=_pair(kernel, 1),
        strides=_pair(site.ints("strides", [1] * axes), 1),
        dilations=_pair(site.ints("dilations", [1] * axes), 1),
        before=_pair(pads[:axes], 0),
        padded_after=_pair(pads[axes:], 0),
        outputs=_pair(site.output_shape[2:], 1),
    )


def axis_window(site: Site, kernel: Shape, axis: int, rest: int) -> Window:
    """The part of a window that slides over one spatial axis; along the other lie ``rest`` elements, one by one."""
    axes = len(kernel)
    pads = site.ints("pads", [0] * (2 * axes))
    return Window(
        extent=(site.shape(0)[2 + axis], rest),
        kernel=(kernel[axis], 1),
        strides=(site.ints("strides", [1] * axes)[axis], 1),
        dilations=(site.ints("dilations", [1] * axes)[axis], 1),
        before=(pads[axis], 0),
        padded_after=(pads[axes + axis], 0),
        outputs=(site.output_shape[2 + axis], rest),
    )


def image_input(site: Site) -> str:
    """The tensor of the node's input as N, H, W, C."""
    tensor = site.input()
    batch, *spatial, channels = site.stored_shape(tensor)
    return site.reshape(tensor, (batch, *_pair(tuple(spatial), 1), channels))


def image_output_shape(site: Site) -> Shape:
    """The shape of the node's output as N, H, W, C."""
    batch, channels, *spatial = site.output_shape
    return (batch, *_pair(tuple(spatial), 1), channels)


def finish_image(
    site: Site, kind: str, inputs: list[str | None], attributes: dict[str, AttributeValue] | None = None
) -> None:
    """Append the operator that gives N, H, W, C, and with it the node's output."""
    if len(site.output_shape) == 4:
        site.finish(kind, inputs, attributes)
        return
    image = site.emit(kind, inputs, image_output_shape(site), attributes)
    shape = site.output_layout.shape(site.output_shape)
    site.finish("RESHAPE", [image], {"new_shape": list(shape)})


def padded(site: Site, image: str, window: Window, value: str | None = None) -> str:
    """``image`` with the padding that the windows reach: zeros, or the scalar tensor ``value``."""
    if not any(window.before + window.after):
        return image
    (top, left), (bottom, right) = window.before, window.after
    batch, height, width, channels = site.stored_shape(image)
    amounts = site.add_setting("paddings", [[0, 0], [top, bottom], [left, right], [0, 0]])
    shape = (batch, top + height + bottom, left + width + right, channels)
    if value is None:
        return site.emit("PAD", [image, amounts], shape, like=image)
    return site.emit("PADV2", [image, amounts, value], shape, like=image)


def _pair(spatial: Shape, missing: int) -> Pair:
    """Height and width: the last two of the spatial axes."""
    height, width = (missing, *spatial)[-2:]
    return height, width
