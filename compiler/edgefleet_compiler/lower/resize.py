"""Resize: RESIZE_NEAREST_NEIGHBOR or RESIZE_BILINEAR where these give the same, else GATHER or a product by a matrix.

Every Resize is, along each axis, a product by a constant matrix. onnxruntime computes that matrix here, so that all
modes and coordinate transformations are covered, and what TFLite's operators do is compared with it.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from edgefleet_compiler.hub.graph import shape_of
from edgefleet_compiler.lower.layout import AS_IS, CHANNELS_LAST, Demand
from edgefleet_compiler.lower.resize_matrix import Matrix, is_identity, matching_flags, matrix_along
from edgefleet_compiler.lower.site import Site
from edgefleet_compiler.lower.window import finish_image, image_input


def resize_demand(node: ir.Node) -> Demand:
    """Channels last for images."""
    return CHANNELS_LAST if len(shape_of(node.outputs[0])) in {3, 4} else AS_IS


def lower_resize(site: Site) -> None:
    """Lower a Resize with constant parameters."""
    matrices = {axis: matrix_along(site, axis) for axis in range(len(site.output_shape))}
    matrices = {axis: matrix for axis, matrix in matrices.items() if not is_identity(matrix)}
    nearest = site.node.attributes.get_string("mode", "nearest") == "nearest"
    if not nearest:
        site.compute_in_float()  # int8 would round otherwise than the hub does
    is_image = len(site.output_shape) in {3, 4} and all(axis >= 2 for axis in matrices)
    flags = matching_flags(matrices, nearest=nearest) if is_image else None
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
    weights = site.add_float("interpolation", matrix[None])
    product = site.emit("BATCH_MATMUL", [weights, columns], (outer, len(matrix), inner))
    return site.reshape(product, (*shape[:position], len(matrix), *shape[position + 1 :]))
