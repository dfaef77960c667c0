"""Refusals of ONNX files say what is wrong with them, where, and what would do instead."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgefleet_compiler.importers.onnx import import_onnx
from edgefleet_contract.errors import ModelMalformed, OperatorUnsupported


def refused(nodes, outputs, *constants, dtype: int = TensorProto.FLOAT) -> ModelProto:
    """A model whose input is x, 1 by 4."""
    inputs = [helper.make_tensor_value_info("x", dtype, [1, 4])]
    infos = [helper.make_tensor_value_info(name, dtype, None) for name in outputs]
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants]
    graph = helper.make_graph(nodes, "graph", inputs, infos, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def load(model: ModelProto):
    return import_onnx(model.SerializeToString(), folder=Path(), input_shapes={})


def test_an_output_listed_twice_is_refused() -> None:
    with pytest.raises(ModelMalformed, match="output 'y' is listed twice"):
        load(refused([helper.make_node("Relu", ["x"], ["y"])], ["y", "y"]))


def test_an_output_that_is_an_input_is_refused_as_such() -> None:
    with pytest.raises(ModelMalformed, match="output 'x' is an input as well"):
        load(refused([helper.make_node("Relu", ["x"], ["y"])], ["x", "y"]))


@pytest.mark.parametrize(("number", "seen"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_weights_that_are_no_numbers_are_refused_by_name(number: float, seen: str) -> None:
    weights = np.full((4, 4), number, np.float32)
    with pytest.raises(ModelMalformed, match=f"'w' of 'matmul' .MatMul. holds {seen}") as refusal:
        load(refused([helper.make_node("MatMul", ["x", "w"], ["y"], "matmul")], ["y"], ("w", weights)))
    assert refusal.value.facts["tensor"] == "w"


def test_an_infinite_bound_or_mask_is_taken() -> None:
    nodes = [helper.make_node("Clip", ["x", "", "most"], ["c"]), helper.make_node("Add", ["c", "mask"], ["y"])]
    mask = np.array([[0, 0, -np.inf, 0]], np.float32)
    load(refused(nodes, ["y"], ("most", np.float32(np.inf)), ("mask", mask)))


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_other_element_types_ask_for_float32_and_not_for_other_operators(dtype: int) -> None:
    with pytest.raises(OperatorUnsupported, match="2 parts of the model") as refusal:
        load(refused([helper.make_node("Relu", ["x"], ["y"])], ["y"], dtype=dtype))
    assert "float32" in refusal.value.expected
    assert refusal.value.remedy == "Export the model as float32."


def test_weights_computed_at_run_time_ask_for_constants() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["bound"]), helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0)]
    nodes.append(helper.make_node("Clip", ["x", "mean"], ["y"], "clip"))
    with pytest.raises(OperatorUnsupported, match="1 part of the model cannot be compiled: 'clip'") as refusal:
        load(refused(nodes, ["y"]))
    assert "constants" in refusal.value.expected
    assert "Replace" not in refusal.value.remedy


def test_every_reason_has_its_remedy() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Det", ["a"], ["y"], "det")]
    with pytest.raises(OperatorUnsupported, match="'det'") as refusal:
        load(refused(nodes, ["y"], dtype=TensorProto.FLOAT16))
    assert "operators among" in refusal.value.expected


def test_a_dangling_value_is_told_with_the_node_that_reads_it() -> None:
    with pytest.raises(ModelMalformed, match="input 'nowhere' of node: name: adder OpType: Add"):
        load(refused([helper.make_node("Add", ["nowhere", "x"], ["y"], "adder")], ["y"]))
