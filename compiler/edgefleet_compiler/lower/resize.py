"""Resize: RESIZE_NEAREST_NEIGHBOR or RESIZE_BILINEAR where these give the same, else GATHER or a product by a matrix.

Every Resize is, along each axis, a product by a constant matrix. onnxruntime computes that matrix here, so that all
modes and coordinate transformations are covered, and what TFLite's operators do is compared with it.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.graph import IR_VERSION, OPSET, shape_of
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.lower.layout import AS_IS, CHANNELS_LAST, Demand
from edgefleet_compiler.lower.site import Site
from edgefleet_compiler.lower.window import finish_image, image_input
from edgefleet_compiler.lowered.graph import AttributeValue

Matrix = NDArray[np.float32]
TOLERANCE = 1e-6
"""How far the weights of a neighbour may differ: float32 rounds positions in another order."""


def resize_demand(node: ir.Node) -> Demand:
    """Channels last for images."""
    return CHANNELS_LAST if len(shape_of(node.outputs[0])) in {3, 4} else AS_IS


def lower_resize(site: Site) -> None:
    """Lower a Resize with constant parameters."""
    matrices = {axis: _matrix(site, axis) for axis in range(len(site.output_shape))}
    matrices = {axis: matrix for axis, matrix in matrices.items() if not _is_identity(matrix)}
    nearest = site.node.attributes.get_string("mode", "nearest") == "nearest"
    is_image = len(site.output_shape) in {3, 4} and all(axis >= 2 for axis in matrices)
    flags = _matching_flags(matrices, nearest=nearest) if is_image else None
    if flags is None:
        _lower_by_axis(site, matrices, nearest=nearest)
        return
    image = image_input(site)
    extents = (1, 1, *site.output_shape[2:])[-2:]
    kind = "RESIZE_NEAREST_NEIGHBOR" if nearest else "RESIZE_BILINEAR"
    finish_image(site, kind, [image, site.add_setting("size", extents)], flags)


def _lower_by_axis(site: Site, matrices: dict[int, Matrix], *, nearest: bool) -> None:
    tensor = site.input()
    for axis, matrix in matrices.items():
        position = site.output_layout.position(axis)
        tensor = _gathered(site, tensor, position, matrix) if nearest else _product(site, tensor, position, matrix)
    site.finish_with(tensor)


def _gathered(site: Site, tensor: str, position: int, matrix: Matrix) -> str:
    """The elements that the matrix, of one 1 in each row, takes along the axis."""
    shape = list(site.stored_shape(tensor))
    shape[position] = len(matrix)
    indices = site.add_setting("indices", matrix.argmax(axis=1).tolist())
    return site.emit("GATHER", [tensor, indices], tuple(shape), {"axis": position, "batch_dims": 0})


def _product(site: Site, tensor: str, position: int, matrix: Matrix) -> str:
    """The matrix times each column along the axis."""
    shape = site.stored_shape(tensor)
    outer, inner = math.prod(shape[:position]), math.prod(shape[position + 1 :])
    columns = site.reshape(tensor, (outer, shape[position], inner))
    weights = site.add_float("interpolation", np.broadcast_to(matrix, (outer, *matrix.shape)))
    product = site.emit("BATCH_MATMUL", [weights, columns], (outer, len(matrix), inner))
    return site.reshape(product, (*shape[:position], len(matrix), *shape[position + 1 :]))


def _matrix(site: Site, axis: int) -> Matrix:
    """Shape (output extent, input extent): what the node does along one axis, by its effect on unit vectors."""
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
    graph = ir.Graph(
        [source], [result], nodes=[node], initializers=[value for value in given if value is not None],
        opset_imports={"": OPSET}, name="axis",
    )  # fmt: skip
    vectors = np.eye(extent, dtype=np.float32)[None, None]
    session = Session(ir.Model(graph, ir_version=IR_VERSION), optimise=False)
    matrix: Matrix = session.run({"x": vectors})["y"][0, 0]
    outside = ~matrix.any(axis=1)
    if mode == "tf_crop_and_resize" and outside.any():
        site.refuse("it crops beyond the image")
    return matrix


def _is_identity(matrix: Matrix) -> bool:
    return matrix.shape[0] == matrix.shape[1] and np.array_equal(matrix, np.eye(len(matrix), dtype=np.float32))


def _matching_flags(matrices: dict[int, Matrix], *, nearest: bool) -> dict[str, AttributeValue] | None:
    """The flags by which TFLite's operator does the same along every axis, if any do."""
    for align_corners, half_pixel_centers in ((False, False), (False, True), (True, False)):
        theirs = _nearest_of_tflite if nearest else _bilinear_of_tflite
        if all(
            np.allclose(matrix, theirs(*matrix.shape, align_corners, half_pixel_centers), rtol=0, atol=TOLERANCE)
            for matrix in matrices.values()
        ):
            return {"align_corners": align_corners, "half_pixel_centers": half_pixel_centers}
    return None


def _nearest_of_tflite(outputs: int, extent: int, align_corners: bool, half_pixel_centers: bool) -> Matrix:
    """What RESIZE_NEAREST_NEIGHBOR does (LiteRT, ``reference/resize_nearest_neighbor.h``)."""
    places = np.arange(outputs, dtype=np.float32) + np.float32(0.5 if half_pixel_centers else 0)
    places *= _scale(outputs, extent, align_corners)
    chosen = np.floor(places + 0.5) if align_corners else np.floor(places)
    return np.eye(extent, dtype=np.float32)[np.clip(chosen, 0, extent - 1).astype(int)]


def _bilinear_of_tflite(outputs: int, extent: int, align_corners: bool, half_pixel_centers: bool) -> Matrix:
    """What RESIZE_BILINEAR does (LiteRT, ``reference/resize_bilinear.h``)."""
    places = np.arange(outputs, dtype=np.float32) * _scale(outputs, extent, align_corners)
    if half_pixel_centers:
        places = (np.arange(outputs, dtype=np.float32) + np.float32(0.5)) * _scale(outputs, extent, align_corners)
        places -= np.float32(0.5)
    lower = np.clip(np.floor(places), 0, extent - 1).astype(int)
    upper = np.clip(np.floor(places) + 1, 0, extent - 1).astype(int)
    rest = (places - np.floor(places))[:, None]
    unit = np.eye(extent, dtype=np.float32)
    return unit[lower] * (1 - rest) + unit[upper] * rest


def _scale(outputs: int, extent: int, align_corners: bool) -> np.float32:
    if align_corners and outputs > 1:
        return np.float32((extent - 1) / (outputs - 1))
    return np.float32(extent / outputs)
