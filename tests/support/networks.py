"""Random small networks, drawn by hypothesis, as exporters of every habit would write them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from hypothesis import strategies as st

from support.onnx_graphs import OnnxGraph

Draw = Callable[[st.SearchStrategy], object]
TO_NCHW, TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]


@dataclass
class Image:
    """A 4-D value in the making: N, C, H, W, or N, H, W, C when ``channels_last``."""

    name: str
    channels: int
    height: int
    width: int
    channels_last: bool = False

    @property
    def shape(self) -> tuple[int, int, int, int]:
        if self.channels_last:
            return (1, self.height, self.width, self.channels)
        return (1, self.channels, self.height, self.width)


class Network:
    """Adds randomly drawn layers to a graph."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.graph = OnnxGraph(seed=self.integer(0, 2**16))

    def integer(self, low: int, high: int) -> int:
        value = self.draw(st.integers(low, high))
        assert isinstance(value, int)
        return value

    def chance(self) -> bool:
        return self.integer(0, 1) == 1

    def choose(self, *options: object) -> object:
        return self.draw(st.sampled_from(options))

    # --- layers ----------------------------------------------------------------------------------------------------

    def ordered(self, image: Image, *, channels_last: bool) -> Image:
        """The image in this axis order, by a Transpose where it has the other."""
        if image.channels_last == channels_last:
            return image
        name = self.graph.node("Transpose", image.name, perm=TO_NHWC if channels_last else TO_NCHW)
        return Image(name, image.channels, image.height, image.width, channels_last)

    def conv(self, image: Image) -> Image:
        image = self.ordered(image, channels_last=False)
        depthwise = self.chance()
        kernel = [self.integer(1, min(3, image.height)), self.integer(1, min(3, image.width))]
        dilations = [self.integer(1, 2) if image.height > 2 * kernel[0] else 1, 1]
        extents = [dilations[axis] * (kernel[axis] - 1) + 1 for axis in (0, 1)]
        strides = [self.integer(1, 2), self.integer(1, 2)]
        groups = image.channels if depthwise else int(self.choose(*(g for g in (1, 2) if image.channels % g == 0)))
        channels = image.channels * self.integer(1, 2) if depthwise else groups * self.integer(1, 3)
        attributes: dict[str, object] = {"strides": strides, "dilations": dilations, "group": groups}
        if dilations == [1, 1] and self.chance():  # onnxruntime takes no auto_pad with dilations
            attributes["auto_pad"] = self.choose("SAME_UPPER", "SAME_LOWER")
            height, width = -(-image.height // strides[0]), -(-image.width // strides[1])
        else:
            pads = [self.integer(0, extents[axis] - 1) for axis in (0, 1, 0, 1)]
            attributes["pads"] = pads
            height = (image.height + pads[0] + pads[2] - extents[0]) // strides[0] + 1
            width = (image.width + pads[1] + pads[3] - extents[1]) // strides[1] + 1
        name = self.graph.conv(image.name, (image.channels, channels), kernel, bias=self.chance(), **attributes)
        return Image(name, channels, height, width)

    def batch_norm(self, image: Image) -> Image:
        image = self.ordered(image, channels_last=False)
        random = self.graph.random
        parameters = [
            self.graph.constant(random.uniform(low, high, image.channels))
            for low, high in ((0.5, 1.5), (-0.5, 0.5), (-0.5, 0.5), (0.5, 1.5))
        ]
        return self.like(image, self.graph.node("BatchNormalization", image.name, *parameters, epsilon=1e-3))

    def activation(self, image: Image) -> Image:
        match self.choose("Relu", "Relu6", "Sigmoid", "Tanh", "LeakyRelu", "Clip", "Max"):
            case "Relu6":
                return self.like(image, self.graph.clip(image.name, 0.0, 6.0))
            case "Clip":
                return self.like(image, self.graph.clip(image.name, -0.5, 1.0))
            case "Max":
                return self.like(image, self.graph.node("Max", self.graph.constant([0.0]), image.name))
            case operator:
                return self.like(image, self.graph.node(str(operator), image.name))

    def arithmetic(self, image: Image) -> Image:
        """A constant operand: of one element, per channel, or per element."""
        axis = 3 if image.channels_last else 1
        per_channel = tuple(image.channels if position == axis else 1 for position in range(4))
        shape = self.choose((), (1,), per_channel, per_channel[axis:], image.shape)
        operand = self.graph.constant(self.graph.random.uniform(0.5, 1.5, shape))  # type: ignore[arg-type]  # drawn
        operator = str(self.choose("Add", "Sub", "Mul", "Div"))
        operands = [image.name, operand]
        if operator in ("Add", "Mul") and self.chance():
            operands.reverse()
        return self.like(image, self.graph.node(operator, *operands))

    def pool(self, image: Image) -> Image:
        image = self.ordered(image, channels_last=False)
        kernel = [self.integer(1, min(3, image.height)), self.integer(1, min(3, image.width))]
        strides = [self.integer(1, 2), self.integer(1, 2)]
        pads = [self.integer(0, kernel[axis] - 1) for axis in (0, 1, 0, 1)]
        attributes: dict[str, object] = {"kernel_shape": kernel, "strides": strides, "pads": pads}
        operator = str(self.choose("MaxPool", "AveragePool"))
        if operator == "AveragePool":
            attributes["count_include_pad"] = self.integer(0, 1)
        height = (image.height + pads[0] + pads[2] - kernel[0]) // strides[0] + 1
        width = (image.width + pads[1] + pads[3] - kernel[1]) // strides[1] + 1
        return Image(self.graph.node(operator, image.name, **attributes), image.channels, height, width)

    def pad(self, image: Image) -> Image:
        rows, columns = (self.integer(0, 1), self.integer(0, 2)), (self.integer(0, 2), 0)
        axes = (1, 2) if image.channels_last else (2, 3)
        pads = np.zeros((2, 4), np.int64)
        pads[:, axes[0]], pads[:, axes[1]] = rows, columns
        inputs = [image.name, self.graph.constant(pads.reshape(-1), np.int64)]
        if self.chance():
            inputs.append(self.graph.constant(float(self.integer(0, 1))))
        name = self.graph.node("Pad", *inputs)
        return Image(name, image.channels, image.height + sum(rows), image.width + sum(columns), image.channels_last)

    def crop(self, image: Image) -> Image:
        if image.height < 2:
            return image
        axis = 1 if image.channels_last else 2
        parameters = [self.graph.constant([number], np.int64) for number in (-image.height, -1, axis)]
        name = self.graph.node("Slice", image.name, *parameters)
        return Image(name, image.channels, image.height - 1, image.width, image.channels_last)

    def residual(self, image: Image) -> Image:
        """Two branches that meet in a sum or product of the same shape."""
        image = self.ordered(image, channels_last=False)
        one = self.graph.conv(image.name, (image.channels, image.channels), (3, 3), pads=[1, 1, 1, 1])
        other = self.activation(image)
        operator = str(self.choose("Add", "Mul", "Sub"))
        return self.like(image, self.graph.node(operator, one, other.name))

    def branches(self, image: Image) -> Image:
        """Two branches that are concatenated along the channels, perhaps with the channels last."""
        other = self.activation(self.conv_same(image))
        last = self.chance()
        one, other = self.ordered(image, channels_last=last), self.ordered(other, channels_last=last)
        name = self.graph.node("Concat", one.name, other.name, axis=3 if last else self.choose(1, -3))
        return Image(name, one.channels + other.channels, one.height, one.width, last)

    def conv_same(self, image: Image) -> Image:
        image = self.ordered(image, channels_last=False)
        channels = self.integer(1, 4)
        name = self.graph.conv(image.name, (image.channels, channels), (1, 1))
        return Image(name, channels, image.height, image.width)

    def squeeze_and_excite(self, image: Image) -> Image:
        """Channels weighted by a gate computed from their means; with channels last as TFLite's exporters write it."""
        axes = self.graph.constant([1, 2] if image.channels_last else [2, 3], np.int64)
        means = self.graph.node("ReduceMean", image.name, axes, keepdims=self.integer(0, 1))
        flat = self.graph.reshape(means, 1, image.channels)
        gate = self.graph.node("Sigmoid", self.graph.gemm(flat, image.channels, image.channels))
        shape = (1, 1, 1, image.channels) if image.channels_last else (1, image.channels, 1, 1)
        return self.like(image, self.graph.node("Mul", image.name, self.graph.reshape(gate, *shape)))

    def flip_order(self, image: Image) -> Image:
        return self.ordered(image, channels_last=not image.channels_last)

    def nothing(self, image: Image) -> Image:
        return self.like(image, self.graph.node(str(self.choose("Identity", "Dropout")), image.name))

    def like(self, image: Image, name: str) -> Image:
        return Image(name, image.channels, image.height, image.width, image.channels_last)

    # --- ends ------------------------------------------------------------------------------------------------------

    def classify(self, image: Image) -> str:
        """From an image to scores: flattened or averaged, then fully connected."""
        match self.choose("flatten", "reshape", "average", "mean"):
            case "flatten":
                flat, features = self.graph.node("Flatten", image.name), int(np.prod(image.shape))
            case "reshape":
                flat, features = self.graph.reshape(image.name, 1, -1), int(np.prod(image.shape))
            case "average":
                pooled = self.graph.node("GlobalAveragePool", self.ordered(image, channels_last=False).name)
                flat, features = self.graph.node("Flatten", pooled), image.channels
            case _:
                axes = self.graph.constant([1, 2] if image.channels_last else [2, 3], np.int64)
                flat, features = self.graph.node("ReduceMean", image.name, axes, keepdims=0), image.channels
        if self.chance():
            hidden = self.graph.node("Relu", self.graph.gemm(flat, features, 6))
        else:
            product = self.graph.node("MatMul", flat, self.graph.weights(features, 6, fan_in=features))
            hidden = self.graph.node("Add", product, self.graph.constant(self.graph.random.normal(0, 0.3, 6)))
        scores = self.graph.gemm(hidden, 6, 4)
        return self.graph.node("Softmax", scores) if self.chance() else scores


LAYERS = (
    Network.conv, Network.conv, Network.batch_norm, Network.activation, Network.arithmetic, Network.pool, Network.pad,
    Network.crop, Network.residual, Network.branches, Network.squeeze_and_excite, Network.flip_order, Network.nothing,
)  # fmt: skip


@st.composite
def networks(draw: Draw) -> onnx.ModelProto:
    """Networks of one image input, in either axis order, and one or two outputs, of which one may be an image."""
    network = Network(draw)
    image = Image("", network.integer(1, 4), network.integer(3, 9), network.integer(3, 9), network.chance())
    image.name = network.graph.input("image", *image.shape)
    image = network.conv(image)
    for _ in range(network.integer(1, 6)):
        layer = network.choose(*LAYERS)
        image = layer(network, image)  # type: ignore[operator]  # one of LAYERS
    end = network.choose("scores", "image", "both")
    outputs = []
    if end in ("scores", "both"):
        outputs.append(network.classify(image))
    if end in ("image", "both"):
        outputs.append(network.activation(image).name)
    return network.graph.proto(*outputs)
