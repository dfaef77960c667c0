"""Operators that ONNX defines by others: they become that definition before anything is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgefleet_compiler.hub.operators import SUPPORTED
from edgefleet_compiler.importers.onnx import import_onnx
from edgefleet_compiler.importers.onnx_functions import expand_functions
from edgefleet_contract.errors import OperatorUnsupported
from support.exports import run_hub


def model_of(operator: str, shape: tuple[int, ...], opset: int, *constants: np.ndarray, **attributes: object):
    tensors = [numpy_helper.from_array(array, f"constant_{index}") for index, array in enumerate(constants)]
    node = helper.make_node(operator, ["x", *(tensor.name for tensor in tensors)], ["y"], "layer", **attributes)
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


RMS = model_of("RMSNormalization", (2, 3, 8), 23, np.linspace(0.5, 2, 8, dtype=np.float32), axis=-1)


def test_a_body_that_depends_on_types_and_attributes_is_written_out():
    expanded = expand_functions(RMS)
    kinds = {node.op_type for node in expanded.graph.node}
    assert "RMSNormalization" not in kinds
    assert "CastLike" not in kinds
    x = np.random.default_rng(0).normal(size=(2, 3, 8)).astype(np.float32)
    expected, got = (ReferenceEvaluator(model).run(None, {"x": x})[0] for model in (RMS, expanded))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_the_nodes_of_a_body_are_named_after_the_node_they_stand_for():
    assert all(node.name.startswith("layer/") for node in expand_functions(RMS).graph.node)


def test_attributes_left_at_their_defaults_are_those_of_the_operator():
    model = model_of("Shrink", (1, 40), 21, lambd=0.3)
    x = np.linspace(-1, 1, 40, dtype=np.float32)[None]
    expected, got = (ReferenceEvaluator(each).run(None, {"x": x})[0] for each in (model, expand_functions(model)))
    np.testing.assert_array_equal(got, expected)


def test_operators_that_the_compiler_knows_stay_as_they_are():
    model = model_of("LayerNormalization", (1, 5, 8), 21, np.ones(8, np.float32))
    assert "LayerNormalization" in SUPPORTED
    assert expand_functions(model) is model


@pytest.mark.parametrize("operator", ["Range", "Bernoulli"])
def test_bodies_that_loop_or_draw_random_numbers_are_not_written_out(operator):
    scalars = [np.float32(number) for number in (5, 1)] if operator == "Range" else []
    shape = () if operator == "Range" else (1, 4)
    with pytest.raises(OperatorUnsupported, match=operator):
        import_onnx(
            model_of(operator, shape, 21, *map(np.asarray, scalars)).SerializeToString(), folder=Path(), input_shapes={}
        )


def test_definitions_of_newer_opsets_compile_although_the_hub_is_older():
    hub = import_onnx(model_of("Swish", (2, 3, 8), 24, alpha=0.5).SerializeToString(), folder=Path(), input_shapes={})
    x = np.random.default_rng(1).normal(size=(2, 3, 8)).astype(np.float32)
    np.testing.assert_allclose(run_hub(hub, [x])[0], x / (1 + np.exp(-0.5 * x)), rtol=1e-5)
