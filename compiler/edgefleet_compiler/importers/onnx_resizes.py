"""Upsample, and Resize before opset 11, keep their meaning when they become the Resize of today.

Source: ONNX operator specification, Upsample 7 and 9, Resize 10 and 11. Until opset 10 the place of an element was its
index divided by the scale; opset 11 made that ``asymmetric`` and chose another default, which ``onnx``'s converter
leaves as it is. The nearest neighbour then was the one before, where the image gets smaller the one behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from edgefleet_compiler.refusal import Refusal, counted, unsupported

_FIRST_WITH_COORDINATES = 11


@dataclass(frozen=True)
class OldResizes:
    """What the Resize and Upsample of a model meant before it was converted.

    Attributes:
        rounding: Of each, by the name of its output: which neighbour is the nearest.
    """

    rounding: dict[str, str]

    @classmethod
    def of(cls, proto: onnx.ModelProto) -> OldResizes:
        """Those of a model; none where its opset says itself how places are counted.

        Raises:
            OperatorUnsupported: An image gets larger along one axis and smaller along another by the nearest neighbour.
        """
        opset = next(entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))
        if opset >= _FIRST_WITH_COORDINATES:
            return cls({})
        known = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
        nodes = [node for node in proto.graph.node if node.op_type in ("Resize", "Upsample")]
        scales = {node.output[0]: _scales(node, known) for node in nodes}
        mixed = [node for node in nodes if _is_nearest(node) and _mixes(scales[node.output[0]])]
        if mixed:
            refusals = [
                Refusal(
                    node.name or node.output[0], node.op_type, "it enlarges along one axis and reduces along another"
                )
                for node in mixed
            ]
            raise unsupported(
                refusals,
                f"{counted(refusals)} of the model cannot be compiled",
                expected="images that only get larger, or only smaller",
                remedy=f"Export it again with opset {_FIRST_WITH_COORDINATES} or newer.",
            )
        return cls({name: "ceil" if np.any(array < 1) else "floor" for name, array in scales.items()})

    def write_out(self, proto: onnx.ModelProto) -> None:
        """Say in the converted model what was the default before; it is changed in place."""
        for node in proto.graph.node:
            rounding = self.rounding.get(node.output[0]) if node.op_type == "Resize" else None
            if rounding is not None:
                attributes = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": rounding}
                node.attribute.extend(onnx.helper.make_attribute(name, value) for name, value in attributes.items())


def _is_nearest(node: onnx.NodeProto) -> bool:
    return all(attribute.s == b"nearest" for attribute in node.attribute if attribute.name == "mode")


def _scales(node: onnx.NodeProto, known: dict[str, np.ndarray]) -> np.ndarray:
    """One scale for each axis; none where they are not known yet."""
    for attribute in node.attribute:
        if attribute.name == "scales":
            return np.array(attribute.floats)
    return known.get(node.input[1], np.ones(0)) if len(node.input) > 1 else np.ones(0)


def _mixes(scales: np.ndarray) -> bool:
    return bool(np.any(scales < 1) and np.any(scales > 1))
