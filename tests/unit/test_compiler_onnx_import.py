"""Importing ONNX files: what is taken, what becomes of it, and how everything else is refused."""

from __future__ import annotations

import contextlib
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgefleet_compiler.hub.graph import activations, constant, has_static_shape, shape_of
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.importers.onnx import import_onnx
from edgefleet_compiler.passes import simplify
from edgefleet_contract.errors import EdgefleetError, InputError, ModelMalformed, OperatorUnsupported


def classifier(opset: int, ir_version: int = 8, batch: int | str = 1) -> onnx.ModelProto:
    """A network in the forms that its opset has: attributes where later ones have inputs."""
    random = np.random.default_rng(0)
    constants = {
        "filters": random.normal(size=(4, 3, 3, 3)),
        "scale": random.uniform(0.5, 1.5, 4),
        "shift": random.normal(size=4),
        "mean": random.normal(size=4),
        "variance": random.uniform(0.5, 1.5, 4),
        "matrix": random.normal(size=(64, 5)),
    }
    clip = {"min": 0.0, "max": 6.0} if opset < 11 else {}
    pad = {"pads": [0, 0, 1, 1, 0, 0, 1, 1]} if opset < 11 else {}
    if opset >= 11:
        constants |= {"zero": np.float32(0), "six": np.float32(6), "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1])}
    nodes = [
        helper.make_node("Pad", ["image"] + ["pads"] * (opset >= 11), ["padded"], "pad", **pad),
        helper.make_node("Conv", ["padded", "filters"], ["convolved"], "conv"),
        helper.make_node("BatchNormalization", ["convolved", "scale", "shift", "mean", "variance"], ["norm"], "norm"),
        helper.make_node("Clip", ["norm"] + ["zero", "six"] * (opset >= 11), ["clipped"], "clip", **clip),
        helper.make_node("Dropout", ["clipped"], ["kept"], "dropout"),
        helper.make_node("MaxPool", ["kept"], ["pooled"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["pooled"], ["flat"], "flatten"),
        helper.make_node("MatMul", ["flat", "matrix"], ["logits"], "matmul"),
        helper.make_node("Softmax", ["logits"], ["scores"], "softmax"),
    ]
    tensors = [
        numpy_helper.from_array(np.asarray(array, np.int64 if name == "pads" else np.float32), name)
        for name, array in constants.items()
    ]
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, 8, 8])]
    if ir_version < 4:
        inputs += [helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims) for tensor in tensors]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, 5])]
    return assemble(nodes, inputs, outputs, tensors, opset=opset, ir_version=ir_version)


def assemble(nodes, inputs, outputs, tensors=(), *, opset=21, ir_version=10, domains=()) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "graph", inputs, outputs, list(tensors))
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)


def images(*shape: int, name: str = "x", dtype: int = TensorProto.FLOAT):
    return [helper.make_tensor_value_info(name, dtype, shape)]


def results(name: str = "y", dtype: int = TensorProto.FLOAT):
    return [helper.make_tensor_value_info(name, dtype, None)]


def load(model: onnx.ModelProto, folder: Path = Path(), **shapes: tuple[int, ...]):
    return import_onnx(model.SerializeToString(), folder=folder, input_shapes=shapes)


def run(data: bytes, **feeds: np.ndarray) -> dict[str, np.ndarray]:
    return Session(data, optimise=False).run(feeds)


# --- what is taken ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opset", "ir_version"), [(7, 3), (8, 3), (9, 4), (10, 5), (11, 6), (13, 7), (17, 8), (22, 10)]
)
def test_sources_of_any_opset_compute_the_same_in_the_hub(opset: int, ir_version: int) -> None:
    source = classifier(opset, ir_version)
    image = np.random.default_rng(1).normal(size=(1, 3, 8, 8)).astype(np.float32)
    expected = run(source.SerializeToString(), image=image)["scores"]
    model = load(source)
    assert model.graph.opset_imports[""] == 21
    np.testing.assert_allclose(Session(model).run({"image": image})["scores"], expected, atol=1e-6)
    assert [value.name for value in model.graph.inputs] == ["image"]


def test_the_newest_opset_is_converted_down() -> None:
    model = load(classifier(onnx.defs.onnx_opset_version(), 10))
    assert model.graph.opset_imports[""] == 21
    assert shape_of(model.graph.outputs[0]) == (1, 5)


def test_an_open_batch_becomes_one_and_all_shapes_follow() -> None:
    model = load(classifier(17, batch="N"))
    assert shape_of(model.graph.inputs[0]) == (1, 3, 8, 8)
    assert shape_of(model.graph.outputs[0]) == (1, 5)
    assert all(has_static_shape(value) and value.dtype is not None for value in activations(model.graph))


def test_shape_arithmetic_of_exporters_becomes_constants() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["batch"]),
        helper.make_node("Unsqueeze", ["batch", "axes"], ["batches"]),
        helper.make_node("Concat", ["batches", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ]
    tensors = [
        numpy_helper.from_array(np.array(array, np.int64), name)
        for name, array in (("first", 0), ("axes", [0]), ("rest", [-1]))
    ]
    model = load(assemble(nodes, images("N", 3, 4), results(), tensors))
    (node,) = model.graph
    assert node.op_type == "Reshape"
    assert constant(node.inputs[1]).tolist() == [1, -1]
    assert shape_of(model.graph.outputs[0]) == (1, 12)


def test_nameless_nodes_are_named_after_their_outputs() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Tanh", ["a"], ["y"])]
    assert [node.name for node in load(assemble(nodes, images(1, 4), results())).graph] == ["a", "y"]


def test_local_functions_are_inlined() -> None:
    body = [helper.make_node("Relu", ["a"], ["b"]), helper.make_node("Tanh", ["b"], ["c"])]
    function = helper.make_function("own", "Twice", ["a"], ["c"], body, [helper.make_opsetid("", 21)])
    source = assemble([helper.make_node("Twice", ["x"], ["y"], domain="own")], images(1, 4), results(), domains=["own"])
    source.functions.append(function)
    assert [node.op_type for node in load(source).graph] == ["Relu", "Tanh"]


# --- shapes that have to be given ------------------------------------------------------------------------------------


def test_an_open_dimension_is_asked_for_with_the_option_to_give() -> None:
    source = assemble([helper.make_node("Relu", ["x"], ["y"])], images("N", 3, "H", 32), results())
    with pytest.raises(InputError, match=r"--input-shape x=1,3,\?,32"):
        load(source)
    assert shape_of(load(source, x=(1, 3, 24, 32)).graph.outputs[0]) == (1, 3, 24, 32)


@pytest.mark.parametrize("shape", [(1, 4, 24, 32), (1, 3, 24), (1, 3, 0, 32)])
def test_a_given_shape_must_fit_the_model(shape: tuple[int, ...]) -> None:
    source = assemble([helper.make_node("Relu", ["x"], ["y"])], images("N", 3, "H", 32), results())
    with pytest.raises(InputError, match=r"'x' was given the shape"):
        load(source, x=shape)


def test_a_shape_for_an_input_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="no input 'picture'"):
        load(classifier(17), picture=(1, 3, 8, 8))


def test_an_input_without_any_shape_is_asked_for() -> None:
    source = assemble([helper.make_node("Relu", ["x"], ["y"])], images(name="x"), results())
    source.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(InputError, match="does not tell the shape of its input 'x'"):
        load(source)
    assert shape_of(load(source, x=(2, 2)).graph.outputs[0]) == (2, 2)


def test_shapes_that_depend_on_data_are_refused() -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["whole"], to=TensorProto.INT64, name="cast"),
        helper.make_node("Reshape", ["z", "whole"], ["y"], name="reshape"),
    ]
    source = assemble(nodes, images(2) + images(4, name="z"), results())
    with pytest.raises(OperatorUnsupported, match=r"'reshape' \(Reshape\): its shape depends on the data"):
        load(source)


# --- what is no model ------------------------------------------------------------------------------------------------


def test_every_truncation_is_refused_as_malformed_input() -> None:
    data = classifier(17).SerializeToString()
    for length in range(0, len(data) - 1, 7):
        with pytest.raises(EdgefleetError) as caught:
            import_onnx(data[:length], folder=Path(), input_shapes={})
        assert caught.value.exit_status in (2, 3), length


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_are_refused_by_documented_errors_or_read(seed: int) -> None:
    random = np.random.default_rng(seed)
    original = classifier(17).SerializeToString()
    for _ in range(60):
        data = bytearray(original)
        # Nodes stand at the front and shapes at the end; between them are weights, where nothing can go wrong.
        position = random.integers(0, 600) if random.random() < 0.5 else len(data) - random.integers(1, 300)
        data[position : position + random.integers(0, 3)] = random.bytes(random.integers(0, 4))
        with contextlib.suppress(EdgefleetError):
            simplify(import_onnx(bytes(data), folder=Path(), input_shapes={}))


def test_constants_that_cannot_be_computed_are_refused() -> None:
    tensors = [
        numpy_helper.from_array(np.array([5], np.int64), "index"),
        numpy_helper.from_array(np.zeros(3, np.float32), "w"),
    ]
    nodes = [helper.make_node("Gather", ["w", "index"], ["picked"]), helper.make_node("Add", ["x", "picked"], ["y"])]
    with pytest.raises(ModelMalformed, match="constants of the model cannot be computed"):
        load(assemble(nodes, images(1, 1), results(), tensors))


@pytest.mark.parametrize("data", [b"", b"no model", b"\x08\x0a", bytes(range(256)) * 8])
def test_other_bytes_are_refused_as_malformed(data: bytes) -> None:
    with pytest.raises(ModelMalformed):
        import_onnx(data, folder=Path(), input_shapes={})


def test_dangling_values_are_refused() -> None:
    with pytest.raises(ModelMalformed, match="no valid ONNX"):
        load(assemble([helper.make_node("Relu", ["nowhere"], ["y"])], images(1, 4), results()))


def test_cycles_are_refused() -> None:
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    with pytest.raises(ModelMalformed, match="no valid ONNX"):
        load(assemble(nodes, images(1, 4), results("b")))


def test_contradicting_shapes_are_refused() -> None:
    tensors = [numpy_helper.from_array(np.zeros((5, 2), np.float32), "w")]
    with pytest.raises(ModelMalformed, match="contradict"):
        load(assemble([helper.make_node("MatMul", ["x", "w"], ["y"])], images(1, 4), results(), tensors))


@pytest.mark.parametrize("opset", [1, 6, 99])
def test_opsets_out_of_range_are_refused(opset: int) -> None:
    with pytest.raises(OperatorUnsupported, match=f"opset {opset}"):
        load(assemble([helper.make_node("Relu", ["x"], ["y"])], images(1, 4), results(), opset=opset))


def test_a_model_without_opset_is_refused() -> None:
    source = assemble([helper.make_node("Relu", ["x"], ["y"])], images(1, 4), results())
    del source.opset_import[:]
    with pytest.raises(ModelMalformed, match="opset"):
        load(source)


# --- operators -------------------------------------------------------------------------------------------------------


def test_unsupported_operators_are_told_all_at_once_by_name() -> None:
    body = helper.make_graph([helper.make_node("Identity", ["x"], ["t"])], "then", [], results("t"))
    nodes = [
        helper.make_node("Hardmax", ["x"], ["a"], "peaks"),
        helper.make_node("Fancy", ["a"], ["b"], "fancy", domain="com.acme"),
        helper.make_node("If", ["flag"], ["c"], "branch", then_branch=body, else_branch=body),
        helper.make_node("Add", ["b", "c"], ["y"], "sum"),
    ]
    source = assemble(
        nodes, images(2, 2) + images(name="flag", dtype=TensorProto.BOOL), results(), domains=["com.acme"]
    )
    with pytest.raises(OperatorUnsupported) as caught:
        load(source)
    refused = [(entry["node"], entry["operator"]) for entry in caught.value.facts["operators"]]
    assert refused == [("peaks", "Hardmax"), ("fancy", "com.acme.Fancy"), ("branch", "If")]
    for name in ("'peaks'", "'fancy'", "'branch'"):
        assert name in str(caught.value)
    assert caught.value.exit_status == 3


def test_unsupported_operators_that_only_compute_constants_are_folded() -> None:
    nodes = [
        helper.make_node("Range", ["from", "to", "by"], ["steps"]),
        helper.make_node("CumSum", ["steps", "axis"], ["sums"]),
        helper.make_node("Add", ["x", "sums"], ["y"]),
    ]
    tensors = [
        numpy_helper.from_array(np.float32(number), name) for name, number in (("from", 0), ("to", 4), ("by", 1))
    ]
    tensors.append(numpy_helper.from_array(np.array(0), "axis"))
    (node,) = load(assemble(nodes, images(1, 4), results(), tensors)).graph
    assert constant(node.inputs[1]).tolist() == [0, 1, 3, 6]


def test_scales_that_are_found_at_run_time_are_refused() -> None:
    weights = numpy_helper.from_array(np.ones((4, 2), np.int8), "w")
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"], "quantise"),
        helper.make_node("MatMulInteger", ["q", "w", "z"], ["sums"], "multiply"),
        helper.make_node("Cast", ["sums"], ["y"], "widen", to=TensorProto.FLOAT),
    ]
    with pytest.raises(OperatorUnsupported, match=r"'quantise' \(DynamicQuantizeLinear\).*at run time.*'multiply'"):
        load(assemble(nodes, images(1, 4), results(), [weights]))


def test_weights_that_come_with_the_data_are_refused() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], "conv")
    with pytest.raises(OperatorUnsupported, match=r"'conv' \(Conv\): its input 1 \('w'\) is no constant"):
        load(assemble([node], images(1, 3, 8, 8) + images(4, 3, 3, 3, name="w"), results()))


def test_dropouts_in_training_are_refused() -> None:
    tensors = [numpy_helper.from_array(np.float32(0.5), "ratio"), numpy_helper.from_array(np.array(True), "training")]
    node = helper.make_node("Dropout", ["x", "ratio", "training"], ["y"], "drop")
    with pytest.raises(OperatorUnsupported, match=r"'drop' \(Dropout\): it is in training mode"):
        load(assemble([node], images(1, 4), results(), tensors))


def test_pools_that_onnx_and_onnxruntime_size_differently_are_refused() -> None:
    node = helper.make_node("MaxPool", ["x"], ["y"], "pool", kernel_shape=[1, 1], strides=[2, 2], ceil_mode=1)
    with pytest.raises(OperatorUnsupported, match="window that lies in the padding"):
        load(assemble([node], images(1, 2, 2, 2), results()))


def test_other_element_types_are_refused() -> None:
    node = helper.make_node("Relu", ["x"], ["y"], "relu")
    with pytest.raises(OperatorUnsupported, match=r"'relu' \(Relu\): 'y' has elements of type DOUBLE"):
        load(assemble([node], images(1, 4, dtype=TensorProto.DOUBLE), results(dtype=TensorProto.DOUBLE)))


# --- external data ---------------------------------------------------------------------------------------------------


def with_external_weights(location: str, size: int = 16, **entries: int) -> onnx.ModelProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2, 2], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, "offset": 0, "length": size, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    return assemble([helper.make_node("MatMul", ["x", "w"], ["y"])], images(1, 2), results(), [tensor])


def test_external_data_is_read_from_beside_the_file(tmp_path: Path) -> None:
    weights = np.arange(4, dtype=np.float32).reshape(2, 2)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/w.bin").write_bytes(bytes(8) + weights.tobytes())
    model = load(with_external_weights("weights/w.bin", offset=8), tmp_path)
    np.testing.assert_array_equal(constant(next(iter(model.graph)).inputs[1]), weights)


@pytest.mark.attack
@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "", ".", "a/../../secret.bin", "c:\\secret.bin"])
def test_external_data_elsewhere_is_refused(location: str, tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    folder = tmp_path / "model"
    folder.mkdir()
    with pytest.raises(ModelMalformed, match="external"):
        load(with_external_weights(location), folder)


@pytest.mark.attack
def test_external_data_behind_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/w.bin").write_bytes(bytes(16))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w.bin").symlink_to(tmp_path / "secret/w.bin")
    (folder / "linked").symlink_to(tmp_path / "secret")
    for location in ("w.bin", "linked/w.bin"):
        with pytest.raises(ModelMalformed, match="link"):
            load(with_external_weights(location), folder)


@pytest.mark.parametrize("entries", [{"length": 12}, {"offset": 8}, {"offset": -4}, {"length": 10**12}])
def test_external_data_that_does_not_fit_the_tensor_is_refused(entries: dict[str, int], tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(16))
    with pytest.raises(ModelMalformed, match="external"):
        load(with_external_weights("w.bin", **entries), tmp_path)


# --- bombs -----------------------------------------------------------------------------------------------------------


def test_a_small_file_that_asks_for_gigabytes_is_refused_before_it_gets_them() -> None:
    shape = numpy_helper.from_array(np.array([1 << 16, 1 << 16], np.int64), "shape")
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["big"], "bomb"),
        helper.make_node("Add", ["x", "big"], ["y"]),
    ]
    tracemalloc.start()
    with pytest.raises(ModelMalformed, match="'big' the model takes 17179869184 bytes"):
        load(assemble(nodes, images(1, 1), results(), [shape]))
    assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    tracemalloc.stop()


def test_constants_too_large_to_fold_are_refused_by_name() -> None:
    shape = numpy_helper.from_array(np.array([5000, 5000], np.int64), "shape")
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["big"], "bomb"),
        helper.make_node("Add", ["x", "big"], ["y"]),
    ]
    with pytest.raises(OperatorUnsupported, match=r"'bomb' \(ConstantOfShape\): too large to fold"):
        load(assemble(nodes, images(1, 1), results(), [shape]))


def test_a_tensor_that_claims_more_than_it_holds_is_refused() -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 20, 1 << 20], raw_data=bytes(16))
    with pytest.raises(ModelMalformed):
        load(assemble([helper.make_node("Add", ["x", "w"], ["y"])], images(1, 1), results(), [tensor]))


def test_sizes_that_are_none_are_taken_as_open() -> None:
    shape = numpy_helper.from_array(np.array([3, 3], np.int64), "shape")
    node = helper.make_node("CenterCropPad", ["x", "shape"], ["y"], "crop")
    source = assemble([node], images(20, 8, name="x"), results(), [shape])
    for dimension in source.graph.input[0].type.tensor_type.shape.dim:
        dimension.dim_value = -(2**31)
    with pytest.raises(InputError, match="with dimensions left open"):
        load(source)
