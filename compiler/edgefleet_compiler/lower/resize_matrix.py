"""What a Resize does along one axis, as a matrix: in onnxruntime, and in TFLite's operators."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.graph import IR_VERSION, OPSET
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.lower.site import Site
from edgefleet_compiler.lowered.graph import AttributeValue

Matrix = NDArray[np.float32]
"""Shape (output extent, input extent)."""

TOLERANCE = 1e-6
"""How far the weights of a neighbour may differ: float32 rounds positions in another order."""


def matrix_along(site: Site, axis: int) -> Matrix:
    """What the node does along one axis, by its effect on unit vectors.

    Raises:
        Unsupported: It reads what is outside the image.
    """
    extent, wanted = site.shape(0)[axis], site.output_shape[axis]
    scales, region = site.setting(2, "scales"), site.setting(1, "roi")
    mode = site.node.attributes.get_string("coordinate_transformation_mode", "half_pixel")
    given: list[ir.Value | None] = [None, None, None]
    if mode == "tf_crop_and_resize" and region is not None:
        start, end = region[axis], region[axis + len(site.output_shape)]
        given[0] = ir.val("roi", const_value=ir.tensor(np.array([0, 0, start, 0, 1, 1, end, 1], np.float32)))
    if scales is not None and scales.size:
        given[1] = ir.val("scales", const_value=ir.tensor(np.array([1, 1, scales[axis], 1], np.float32)))
    else:
        given[2] = ir.val("sizes", const_value=ir.tensor(np.array([1, 1, wanted, extent], np.int64)))
    source = ir.val("x", ir.DataType.FLOAT, (1, 1, extent, extent))
    result = ir.val("y", ir.DataType.FLOAT, (1, 1, wanted, extent))
    attributes = [attribute for name, attribute in site.node.attributes.items() if name != "extrapolation_value"]
    node = ir.Node("", "Resize", [source, *given], attributes, outputs=[result])
    constants = [value for value in given if value is not None]
    graph = ir.Graph([source], [result], nodes=[node], initializers=constants, opset_imports={"": OPSET}, name="axis")
    vectors = np.eye(extent, dtype=np.float32)[None, None]
    session = Session(ir.Model(graph, ir_version=IR_VERSION), optimise=False)
    matrix: Matrix = session.run({"x": vectors})["y"][0, 0]
    if mode == "tf_crop_and_resize" and not matrix.any(axis=1).all():
        site.refuse("it crops beyond the image")
    return matrix


def is_identity(matrix: Matrix) -> bool:
    """Whether the matrix changes nothing."""
    return matrix.shape[0] == matrix.shape[1] and np.array_equal(matrix, np.eye(len(matrix), dtype=np.float32))


def matching_flags(matrices: dict[int, Matrix], *, nearest: bool) -> dict[str, AttributeValue] | None:
    """The flags by which TFLite's operator does the same along every axis, if any do."""
    theirs = _nearest_of_tflite if nearest else _bilinear_of_tflite
    for align_corners, half_pixels in ((False, False), (False, True), (True, False)):
        if all(
            np.allclose(matrix, theirs(matrix.shape, align_corners, half_pixels), rtol=0, atol=TOLERANCE)
            for matrix in matrices.values()
        ):
            return {"align_corners": align_corners, "half_pixel_centers": half_pixels}
    return None


def _nearest_of_tflite(shape: tuple[int, ...], align_corners: bool, half_pixels: bool) -> Matrix:
    """What RESIZE_NEAREST_NEIGHBOR does (LiteRT, ``reference/resize_nearest_neighbor.h``)."""
    outputs, extent = shape
    places = (np.arange(outputs) + (0.5 if half_pixels else 0)).astype(np.float32) * _scale(shape, align_corners)
    chosen = np.floor(places + 0.5) if align_corners else np.floor(places)
    return _rows_of_identity(chosen, extent)


def _bilinear_of_tflite(shape: tuple[int, ...], align_corners: bool, half_pixels: bool) -> Matrix:
    """What RESIZE_BILINEAR does (LiteRT, ``reference/resize_bilinear.h``)."""
    outputs, extent = shape
    shift = np.float32(0.5 if half_pixels else 0)
    places = (np.arange(outputs).astype(np.float32) + shift) * _scale(shape, align_corners) - shift
    lower = np.floor(places)
    rest = (places - lower)[:, None]
    weighted: Matrix = _rows_of_identity(lower, extent) * (1 - rest) + _rows_of_identity(lower + 1, extent) * rest
    return weighted


def _rows_of_identity(chosen: NDArray[np.float32], extent: int) -> Matrix:
    """The matrix that takes the chosen elements, those beyond the ends from the ends."""
    rows: Matrix = np.take(np.eye(extent, dtype=np.float32), np.clip(chosen, 0, extent - 1).astype(np.intp), axis=0)
    return rows


def _scale(shape: tuple[int, ...], align_corners: bool) -> np.float32:
    outputs, extent = shape
    if align_corners and outputs > 1:
        return np.float32((extent - 1) / (outputs - 1))
    return np.float32(extent / outputs)
