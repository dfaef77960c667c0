"""The ONNX file: what onnxruntime makes of it, how small it is, and what stands at its border."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import numpy_helper

from edgefleet_compiler.exporters.onnx import export_onnx, stored_axes
from edgefleet_compiler.hub.graph import constant
from edgefleet_compiler.hub.session import Session, serialise
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.calibrate import calibrate
from edgefleet_compiler.quantise.fp16 import fp16_weights
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.settings import Settings
from edgefleet_contract.errors import OperatorUnsupported, RecipeUnfit
from support.onnx_graphs import OnnxGraph


def residual_network(graph):
    """Convolutions with a residual branch, a joined branch, pools, and two fully connected layers."""
    source = graph.node("Transpose", graph.input("image", 1, 12, 12, 3), perm=[0, 3, 1, 2])
    first = graph.node("Relu", graph.conv(source, (3, 8), (3, 3), pads=[1, 1, 1, 1]), name="first")
    second = graph.conv(graph.node("Relu", graph.conv(first, (8, 8), (3, 3), pads=[1, 1, 1, 1])), (8, 8), (1, 1))
    joined = graph.node("Relu", graph.node("Add", first, second))
    branches = graph.node("Concat", joined, graph.conv(joined, (8, 8), (3, 3), pads=[1, 1, 1, 1], group=8), axis=1)
    pooled = graph.node("MaxPool", branches, kernel_shape=[2, 2], strides=[2, 2])
    flat = graph.node("Flatten", graph.node("AveragePool", pooled, kernel_shape=[2, 2], strides=[2, 2]))
    hidden = graph.node("Relu", graph.gemm(flat, 144, 16))
    return graph.node("Softmax", graph.gemm(hidden, 16, 4), name="scores")


def cases_of(model, count=4):
    random = np.random.default_rng(0)
    return [
        {value.name: random.normal(size=value.shape.numpy()).astype(np.float32) for value in model.graph.inputs}
        for _ in range(count)
    ]


def hubs(graph, *outputs):
    """The float hub and the quantised one."""
    model = graph.model(*outputs)
    simplify(model)
    ranges = calibrate(model, cases_of(model), lambda _: None)
    return model, quantise(model, ranges, Settings())


@pytest.fixture
def residual():
    graph = OnnxGraph(7)
    return hubs(graph, residual_network(graph))


def export(model, *, max_opset=21, io="float", io_layout="source"):
    data = export_onnx(model, max_opset=max_opset, io=io, io_layout=io_layout)
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    return data


def results(model, cases):
    session = Session(model, optimise=False)
    return [list(session.run(case).values()) for case in cases]


def optimised_operators(data, folder):
    """What onnxruntime runs in the end."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)


# --- what runs -------------------------------------------------------------------------------------------------------


def test_onnxruntime_computes_everything_on_integers_residual_branches_included(residual, tmp_path):
    found = optimised_operators(export(residual[1]), tmp_path)
    assert found["QLinearConv"] == 4
    assert found["QGemm"] == 2
    assert found["QLinearAdd"] == 1
    assert found["QuantizeLinear"] + found["DequantizeLinear"] == 2  # at the border
    assert not found.keys() & {"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "Add", "Relu", "AveragePool"}


def test_with_integers_at_the_border_nothing_is_left_in_float(residual, tmp_path):
    found = optimised_operators(export(residual[1], io="int8"), tmp_path)
    assert not found.keys() & {"QuantizeLinear", "DequantizeLinear"}


def test_a_relu_whose_zero_is_not_the_lowest_integer_is_a_clip_of_integers(tmp_path):
    graph = OnnxGraph(1)
    source = graph.input("x", 1, 3, 6, 6)
    negative = graph.conv(source, (3, 4), (1, 1))
    positive = graph.node("Relu", graph.conv(source, (3, 4), (1, 1)))
    model, hub = hubs(graph, graph.conv(graph.node("Concat", negative, positive, axis=1), (8, 2), (1, 1)))
    data = export(hub)
    assert optimised_operators(data, tmp_path)["QLinearConv"] == 3
    assert "Relu" not in {node.op_type for node in onnx.load_from_string(data).graph.node}
    cases = cases_of(model)
    for ours, theirs in zip(results(data, cases), results(hub, cases), strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])


def test_float_files_compute_what_the_hub_computes(residual):
    model, _ = residual
    cases = cases_of(model)
    for ours, theirs in zip(results(export(model), cases), results(model, cases), strict=True):
        np.testing.assert_allclose(ours[0], theirs[0], atol=1e-6)


def test_narrow_weights_stay_narrow_in_the_file(residual):
    model, _ = residual
    narrow = fp16_weights(model)
    data = export(narrow)
    assert len(data) < 0.62 * len(export(model))
    cases = cases_of(model)
    for ours, theirs in zip(results(data, cases), results(narrow, cases), strict=True):
        np.testing.assert_allclose(ours[0], theirs[0], atol=1e-6)


@pytest.mark.parametrize(("operator", "attributes"), [("MaxPool", {}), ("AveragePool", {"count_include_pad": 1})])
def test_zeros_padded_before_a_pool_stay_zeros_in_onnxruntime(operator, attributes):
    graph = OnnxGraph()
    source = graph.input("x", 1, 2, 4, 4)
    padded = graph.node("Pad", source, graph.constant([0, 0, 1, 1, 0, 0, 1, 1], np.int64), graph.constant(0.0))
    model = graph.model(graph.node(operator, padded, kernel_shape=[3, 3], **attributes))
    data = export_onnx(model, max_opset=21, io="float", io_layout="source")
    negative = {"x": np.full((1, 2, 4, 4), -1.0, np.float32)}
    deployed = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, negative)
    np.testing.assert_allclose(deployed, results(model, [negative])[0], atol=1e-30)


# --- what is stored --------------------------------------------------------------------------------------------------


def test_activations_are_unsigned_and_weights_signed(residual):
    _, hub = residual
    written = ir.from_proto(onnx.load_from_string(export(hub))).graph
    zero_points = {str(constant(node.inputs[2]).dtype) for node in written if node.op_type == "QuantizeLinear"}
    assert zero_points == {"uint8"}
    for node in written:
        if node.op_type in ("Conv", "Gemm"):
            assert constant(node.inputs[1].producer().inputs[0]).dtype == np.int8
            assert constant(node.inputs[2].producer().inputs[0]).dtype == np.int32


def test_integers_and_scales_are_those_of_the_hub(residual):
    _, hub = residual

    def number(value):
        """What a value always is, be it stored or a product of what is stored."""
        factors = [constant(factor) for factor in value.producer().inputs] if value.producer() is not None else None
        return constant(value) if factors is None else factors[0] * factors[1]

    def stored(graph):
        return [
            [number(value) for index in (1, 2) for value in node.inputs[index].producer().inputs[:2]]
            for node in graph
            if node.op_type in ("Conv", "Gemm")
        ]

    written = ir.from_proto(onnx.load_from_string(export(hub))).graph
    for ours, theirs in zip(stored(written), stored(hub.graph), strict=True):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)
    moved = {int(constant(node.inputs[2])) for node in written if node.op_type == "QuantizeLinear"}
    assert moved <= {int(constant(node.inputs[2])) + 128 for node in hub.graph if node.op_type == "QuantizeLinear"}


def test_scales_of_biases_are_products_that_onnxruntime_has_multiplied_out_before_it_runs(residual, tmp_path):
    data = export(residual[1])
    products = [node for node in onnx.load_from_string(data).graph.node if node.op_type == "Mul"]
    assert len(products) == 5  # of six layers; the last has but 4 scales
    assert "Mul" not in optimised_operators(data, tmp_path)


def test_a_scale_of_a_bias_that_is_no_product_is_stored_as_it_is(residual):
    _, hub = residual
    (layer,) = [node for node in hub.graph if node.op_type == "Gemm" and node.outputs[0].shape[1] == 16]
    own = layer.inputs[2].producer().inputs[1]
    own.const_value = ir.tensor(constant(own) * np.float32(1.0001), name=own.name)
    proto = onnx.load_from_string(export(hub))
    assert len([node for node in proto.graph.node if node.op_type == "Mul"]) == 4
    assert any(np.array_equal(numpy_helper.to_array(tensor), constant(own)) for tensor in proto.graph.initializer)


def test_operators_that_move_elements_stand_between_no_pairs(residual):
    proto = onnx.shape_inference.infer_shapes(onnx.load_from_string(export(residual[1]))).graph
    types = {value.name: value.type.tensor_type.elem_type for value in proto.value_info}
    moving = [node for node in proto.node if node.op_type in ("Transpose", "Concat", "MaxPool", "Reshape")]
    assert [node.op_type for node in moving] == ["Transpose", "Concat", "MaxPool", "Reshape"]
    assert {types[node.output[0]] for node in moving} == {onnx.TensorProto.UINT8}


def test_the_file_holds_nothing_it_can_do_without(residual):
    _, hub = residual
    data = export(hub)
    proto = onnx.load_from_string(data)
    constants = sum(numpy_helper.to_array(tensor).nbytes for tensor in proto.graph.initializer)
    assert not proto.graph.value_info
    assert not any(node.name or node.doc_string for node in proto.graph.node)
    assert len(data) - constants < 60 * (len(proto.graph.node) + len(proto.graph.initializer))
    contents = [(tensor.data_type, tuple(tensor.dims), tensor.raw_data) for tensor in proto.graph.initializer]
    assert len(set(contents)) == len(contents)


def test_names_of_inputs_and_outputs_are_never_given_to_others():
    graph = OnnxGraph()
    value = graph.node("Tanh", graph.node("Relu", graph.node("Exp", graph.input("a", 1, 4))), name="b")
    proto = onnx.load_from_string(export(graph.model(value)))
    names = [name for node in proto.graph.node for name in node.output]
    assert names[-1] == "b"
    assert len({"a", *names}) == 4


def test_the_same_model_gives_the_same_bytes(residual):
    _, hub = residual
    before = serialise(hub)
    assert export(hub) == export(hub)
    export(hub, io="int8", io_layout="native")
    assert serialise(hub) == before


# --- the border ------------------------------------------------------------------------------------------------------


def test_integers_at_the_border_are_what_the_pairs_would_have_made(residual):
    model, hub = residual
    data = export(hub, io="int8")
    border = [(value.name, value.type.tensor_type.elem_type) for value in onnx.load_from_string(data).graph.input]
    assert border == [("image", onnx.TensorProto.UINT8)]
    pairs = {node.name: node for node in hub.graph}
    scale, zero_point = (float(constant(value)) for value in pairs["image/quantise"].inputs[1:])
    out_scale, out_zero = (float(constant(value)) for value in pairs["scores/dequantise"].inputs[1:])
    for case, expected in zip(cases_of(model), results(hub, cases_of(model)), strict=True):
        stored = np.clip(np.rint(case["image"] / scale) + zero_point + 128, 0, 255).astype(np.uint8)
        (scores,) = Session(data, optimise=False).run({"image": stored}).values()
        assert scores.dtype == np.uint8
        assert np.abs((scores - (out_zero + 128)) * out_scale - expected[0]).max() <= 1.01 / 256


def test_inputs_left_in_float_cannot_be_integers():
    graph = OnnxGraph()
    _, hub = hubs(graph, graph.gemm(graph.node("Div", graph.input("x", 1, 4), graph.input("z", 1, 4)), 4, 2))
    with pytest.raises(RecipeUnfit, match="input 'x' is left in float"):
        export_onnx(hub, max_opset=21, io="int8", io_layout="source")


def test_outputs_left_in_float_cannot_be_integers():
    graph = OnnxGraph()
    product = graph.gemm(graph.input("x", 1, 4), 4, 2)
    _, hub = hubs(graph, graph.node("Div", product, product, name="y"))
    with pytest.raises(RecipeUnfit, match="output 'y' is left in float"):
        export_onnx(hub, max_opset=21, io="int8", io_layout="source")


@pytest.mark.parametrize("io", ["float", "int8"])
@pytest.mark.parametrize("quantised", [True, False])
def test_native_order_leaves_no_transpose_and_says_which_axes_moved(quantised, io):
    graph = OnnxGraph()
    value = graph.node("Transpose", graph.input("x", 1, 7, 6, 3), perm=[0, 3, 1, 2])
    features = graph.node("Relu", graph.conv(value, (3, 4), (3, 3)))
    image = graph.node("Transpose", features, perm=[0, 2, 3, 1], name="image")
    model, hub = hubs(graph, image)
    if not quantised and io == "int8":
        with pytest.raises(RecipeUnfit):
            export_onnx(model, max_opset=21, io=io, io_layout="native")
        return
    source = hub if quantised else model
    proto = onnx.load_from_string(export(source, io=io, io_layout="native")).graph
    shapes = [
        tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)
        for value in (*proto.input, *proto.output)
    ]
    assert shapes == [(1, 3, 7, 6), (1, 4, 5, 4)]
    assert "Transpose" not in {node.op_type for node in proto.node}
    assert stored_axes(source) == {"x": (0, 3, 1, 2), "image": (0, 3, 1, 2)}


def test_native_order_computes_the_same(residual):
    model, hub = residual
    cases = cases_of(model)
    turned = [{"image": case["image"].transpose(0, 3, 1, 2)} for case in cases]
    ours = results(export(hub, io_layout="native"), turned)
    for one, other in zip(ours, results(export(hub), cases), strict=True):
        np.testing.assert_array_equal(one[0], other[0])


# --- opsets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("opset", "ir_version"), [(13, 7), (15, 8), (17, 8), (18, 8), (19, 9), (21, 10), (25, 10)])
def test_older_opsets_compute_the_same(opset, ir_version):
    graph = OnnxGraph(3)
    value = graph.node("Relu", graph.conv(graph.input("x", 1, 3, 8, 8), (3, 4), (3, 3)))
    padded = graph.node("Pad", value, graph.constant([0, 0, 1, 0, 0, 0, 0, 0], np.int64), graph.constant(1.5))
    means = graph.node("ReduceMean", padded, graph.constant([2, 3], np.int64), keepdims=0)
    model, hub = hubs(graph, graph.gemm(means, 4, 2))
    for source in (model, hub):
        data = export(source, max_opset=opset)
        proto = onnx.load_from_string(data)
        assert proto.opset_import[0].version == min(opset, 21)
        assert proto.ir_version == ir_version
        cases = cases_of(model)
        for ours, theirs in zip(results(data, cases), results(source, cases), strict=True):
            np.testing.assert_allclose(ours[0], theirs[0], atol=1e-6)


def test_opsets_without_scales_per_channel_are_refused(residual):
    with pytest.raises(RecipeUnfit, match="opset 12"):
        export_onnx(residual[1], max_opset=12, io="float", io_layout="source")


def test_operators_that_an_older_opset_lacks_are_refused_by_name():
    graph = OnnxGraph()
    value = graph.node("AveragePool", graph.input("x", 1, 2, 7, 7), kernel_shape=[2, 2], dilations=[2, 2], name="pool")
    model = graph.model(value)
    assert export(model)
    with pytest.raises(OperatorUnsupported, match="'node_pool'"):
        export_onnx(model, max_opset=18, io="float", io_layout="source")


@pytest.mark.parametrize(
    ("opset", "operator", "attributes"),
    [
        (17, "Resize", {"mode": "linear", "antialias": 1}),
        (18, "Resize", {"mode": "linear", "coordinate_transformation_mode": "half_pixel_symmetric"}),
        (18, "AveragePool", {"kernel_shape": [2, 2], "dilations": [2, 2]}),
        (16, "LayerNormalization", {}),
    ],
)
def test_attributes_and_operators_that_an_older_opset_lacks_are_refused_by_name(opset, operator, attributes):
    graph = OnnxGraph()
    more = {"Resize": ["", "", graph.constant([1, 2, 4, 4], np.int64)], "LayerNormalization": [graph.weights(8)]}
    name = graph.node(operator, graph.input("x", 1, 2, 8, 8), *more.get(operator, []), **attributes)
    model = graph.model(name)
    with pytest.raises(OperatorUnsupported, match=operator):
        export_onnx(model, max_opset=opset, io="float", io_layout="source")
    assert export_onnx(model, max_opset=21, io="float", io_layout="source")
