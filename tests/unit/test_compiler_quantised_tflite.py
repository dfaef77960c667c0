"""Quantised TFLite sources: in at the lowered level, checked, and out as TFLite with nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import msgspec
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.pipeline import Outcome, compile_model
from edgefleet_compiler.progress import Silent
from edgefleet_compiler.source import load_source
from edgefleet_compiler.tflite.reader import read_tflite
from edgefleet_compiler.tflite.writer import write_tflite
from edgefleet_contract.bundle import Bundle
from edgefleet_contract.errors import ModelMalformed, OperatorUnsupported, RecipeUnfit
from support.quantised_tflite import int8_network, memory_network, uint8_network
from support.tflite_graphs import TfliteGraph, edited, per_channel, per_tensor, random_inputs, run_litert

KEPT_ON = ("rpi4", "android", "nrf52840")


def compiled(graph: LoweredGraph | bytes, folder: Path, *targets: str, **options: Any) -> dict[str, Outcome]:
    """A model compiled from a file of its own."""
    source = folder / "source.tflite"
    source.write_bytes(graph if isinstance(graph, bytes) else write_tflite(graph))
    request = CompileOptions(source, targets, folder / "out", **options)
    return {outcome.report.target: outcome for outcome in compile_model(request, Silent())}


def artifact(outcome: Outcome) -> bytes:
    assert outcome.report.artifact is not None
    return Path(outcome.report.artifact.path).read_bytes()


def assert_same_bits(source: bytes, kept: bytes, graph: LoweredGraph, cases: int = 100) -> None:
    for seed in range(cases):
        inputs = random_inputs(graph, seed)
        for ours, theirs in zip(run_litert(kept, inputs), run_litert(source, inputs), strict=True):
            assert ours.tobytes() == theirs.tobytes()


def test_an_int8_source_is_kept_bit_for_bit_without_calibration(tmp_path: Path) -> None:
    graph = int8_network(1, per_channel_weights=True)
    source = write_tflite(graph)
    for outcome in compiled(source, tmp_path, *KEPT_ON).values():
        assert not outcome.refusals
        assert len(artifact(outcome)) <= len(source)
        assert_same_bits(source, artifact(outcome), graph)
        assert [(entry.oracle, entry.max_abs, entry.argmax_agreement) for entry in outcome.report.parity] == [
            ("source", 0.0, 1.0)
        ]


def test_the_recipe_says_what_was_done_and_can_be_replayed(tmp_path: Path) -> None:
    first = compiled(int8_network(), tmp_path, "rpi4")["rpi4"]
    text = (first.folder / "recipe.toml").read_text()
    assert 'scheme = "source"' in text
    assert 'io = "source"' in text
    before = {path.name: path.read_bytes() for path in first.folder.iterdir() if path.suffix in (".tflite", ".efb")}
    recipe = tmp_path / "again.toml"
    recipe.write_text(text)
    again = compiled(int8_network(), tmp_path, "rpi4", recipe=str(recipe))["rpi4"]
    assert {name: (again.folder / name).read_bytes() for name in before} == before


def test_asking_for_int8_means_what_the_source_is(tmp_path: Path) -> None:
    outcome = compiled(int8_network(), tmp_path, "rpi4", recipe="int8")["rpi4"]
    assert outcome.report.recipe == "source"


@pytest.mark.parametrize("recipe", ["float", "fp16", "int16x8"])
def test_recipes_that_would_undo_the_quantisation_are_refused(tmp_path: Path, recipe: str) -> None:
    (refusal,) = compiled(int8_network(), tmp_path, "rpi4", recipe=recipe)["rpi4"].refusals
    assert isinstance(refusal, RecipeUnfit)
    assert "quantised already" in refusal.seen


def test_the_recipe_of_a_quantised_source_does_not_go_with_a_float_one(tmp_path: Path) -> None:
    builder = TfliteGraph()
    relu = builder.add("RELU", [builder.input((1, 4))], (1, 4))
    (refusal,) = compiled(builder.graph(relu), tmp_path, "rpi4", recipe="source")["rpi4"].refusals
    assert "The source is float" in refusal.seen


def test_the_bundle_takes_and_gives_the_sources_integers(tmp_path: Path) -> None:
    outcome = compiled(int8_network(), tmp_path, "nrf52840")["nrf52840"]
    assert outcome.report.bundle is not None
    with Bundle(Path(outcome.report.bundle.path)) as bundle:
        (given,), (result,) = bundle.manifest.inputs, bundle.manifest.outputs
        assert (given.dtype, given.axes, result.dtype) == ("int8", "NHWC", "int8")
        assert given.quantisation is not None
        assert given.quantisation.scale == pytest.approx(0.02)
        assert {golden.oracle for golden in bundle.manifest.golden} == {"artifact", "baseline"}


def test_real_inputs_and_outputs_are_a_quantize_and_a_dequantize_away(tmp_path: Path) -> None:
    graph = int8_network()
    kept = artifact(compiled(graph, tmp_path, "rpi4", io="float")["rpi4"])
    kinds = [operator.kind for operator in read_tflite(kept).operators]
    assert (kinds[0], kinds[-1]) == ("QUANTIZE", "DEQUANTIZE")
    real = open_runner(kept, "tflite", execution="plain")
    integer = open_runner(write_tflite(graph), "tflite", execution="plain")
    case = np.random.default_rng(0).normal(0, 1, (1, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(real.run([case])[0], integer.run([case])[0], atol=1e-6)
    back = artifact(compiled(kept, tmp_path, "nrf52840")["nrf52840"])  # which takes integers
    assert [operator.kind for operator in read_tflite(back).operators] == kinds[1:-1]


def shuffled(data: bytes, seed: int) -> bytes:
    """The same model with its tensors, buffers and operator codes in another order."""
    order = np.random.default_rng(seed)

    def permute(items: list[Any], first: int = 0) -> dict[int, int]:
        places = [*range(first), *(order.permutation(len(items) - first) + first).tolist()]
        items[:] = [items[place] for place in places]
        return {old: new for new, old in enumerate(places)}

    def edit(model: Any) -> None:
        (graph,) = model.subgraphs
        tensors, codes = permute(graph.tensors), permute(model.operatorCodes)
        buffers = permute(model.buffers, first=1)  # by convention the first is empty, and activations have it
        tensors[-1] = -1
        for tensor in graph.tensors:
            tensor.buffer = buffers[tensor.buffer]
        for owner in (graph, *graph.operators):
            owner.inputs = [tensors[index] for index in owner.inputs]
            owner.outputs = [tensors[index] for index in owner.outputs]
        for operator in graph.operators:
            operator.opcodeIndex = codes[operator.opcodeIndex]

    return edited(data, edit)


@pytest.mark.parametrize("make", [int8_network, memory_network])
def test_serialisations_that_differ_in_order_give_the_same_bytes(
    tmp_path: Path, make: Callable[[int], LoweredGraph]
) -> None:
    data = write_tflite(make(2))
    expected = artifact(compiled(data, tmp_path, "rpi4")["rpi4"])
    for seed in range(3):
        other = shuffled(data, seed)
        assert other != data
        assert artifact(compiled(other, tmp_path, "rpi4")["rpi4"]) == expected


@pytest.mark.parametrize("origin", [128, 140])
def test_uint8_of_old_becomes_int8_of_the_same_reals(tmp_path: Path, origin: int) -> None:
    source = write_tflite(uint8_network(1, origin))
    kept = artifact(compiled(source, tmp_path, "rpi4")["rpi4"])
    graph = read_tflite(kept)
    assert {str(tensor.dtype) for tensor in graph.tensors.values()} == {"int8", "int32"}
    for seed in range(100):
        given = np.random.default_rng(seed).integers(0, 256, (1, 8, 8, 3)).astype(np.uint8)
        (before,) = run_litert(source, [given])
        (after,) = run_litert(kept, [(given.astype(np.int16) - 128).astype(np.int8)])
        assert np.array_equal(before.astype(np.int16) - 128, after)


def test_uint8_weights_that_do_not_fit_are_refused_by_operator_for_tflite_and_kept_for_onnx(tmp_path: Path) -> None:
    graph = uint8_network(1)
    dense = next(operator for operator in graph.operators if operator.kind == "FULLY_CONNECTED")
    weights = graph.tensors[dense.inputs[1] or ""]
    weights.quantisation = per_tensor(0.02, 10)
    outcomes = compiled(graph, tmp_path, "rpi4", "x86-64")
    (refusal,) = outcomes["rpi4"].refusals
    assert isinstance(refusal, OperatorUnsupported)
    assert "FULLY_CONNECTED" in refusal.seen
    assert "zero point is not 0" in refusal.seen
    assert not outcomes["x86-64"].refusals
    assert outcomes["x86-64"].report.parity[0].argmax_agreement >= 0.9


def test_missing_scales_are_one_error_that_names_the_tensors(tmp_path: Path) -> None:
    graph = int8_network()
    names = [graph.operators[index].outputs[0] for index in (0, 3)]
    for name in names:
        graph.tensors[name].quantisation = None
    with pytest.raises(ModelMalformed, match="2 tensors of the quantised TFLite model have no scale") as caught:
        compiled(graph, tmp_path, "rpi4")
    assert len(msgspec.convert(caught.value.facts["tensors"], list[str])) == 2
    assert not (tmp_path / "out").exists()


def test_scales_that_are_missing_everywhere_do_not_make_a_model_float(tmp_path: Path) -> None:
    graph = int8_network()
    for tensor in graph.tensors.values():
        tensor.quantisation = None
    with pytest.raises(ModelMalformed, match="have no scale"):
        compiled(graph, tmp_path, "rpi4")


def test_types_that_no_kernel_takes_together_are_malformed(tmp_path: Path) -> None:
    graph = int8_network()
    bias = graph.tensors[graph.operators[0].inputs[2] or ""]
    assert bias.data is not None
    bias.data, bias.dtype = bias.data.astype(np.int16), np.dtype(np.int16)
    with pytest.raises(ModelMalformed, match=r"CONV_2D .* of int16 with int8"):
        compiled(graph, tmp_path, "rpi4")


def test_a_quantised_dimension_that_a_vector_does_not_have_is_repaired(tmp_path: Path) -> None:
    data = write_tflite(int8_network(1))

    def edit(model: Any) -> None:
        for tensor in model.subgraphs[0].tensors:
            if len(tensor.shape) == 1 and tensor.quantization is not None:
                tensor.quantization.quantizedDimension = 3

    assert artifact(compiled(edited(data, edit), tmp_path, "rpi4")["rpi4"]) == artifact(
        compiled(data, tmp_path, "rpi4")["rpi4"]
    )


def test_weights_behind_the_flatbuffer_are_read(tmp_path: Path) -> None:
    data = write_tflite(int8_network(1))
    model = schema.ModelT.InitFromPackedBuf(data)
    outer = [buffer for buffer in model.buffers if buffer.data is not None and len(buffer.data) > 40]
    contents = [bytes(buffer.data) for buffer in outer]
    for buffer in outer:
        buffer.data, buffer.offset, buffer.size = None, 2**30, 2**30
    length = len(edited_model(model))
    for buffer, content in zip(outer, contents, strict=True):
        buffer.offset, buffer.size = length, len(content)
        length += len(content)
    moved = edited_model(model) + b"".join(contents)
    assert artifact(compiled(moved, tmp_path, "rpi4")["rpi4"]) == artifact(compiled(data, tmp_path, "rpi4")["rpi4"])


def edited_model(model: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_scales_per_channel_that_the_targets_kernels_do_not_take_are_refused(tmp_path: Path) -> None:
    graph = int8_network()
    dense = next(operator for operator in graph.operators if operator.kind == "FULLY_CONNECTED")
    weights, bias = (graph.tensors[name or ""] for name in dense.inputs[1:])
    rows = weights.shape[0]
    weights.quantisation = per_channel([0.02] * (rows - 1) + [0.01], 0)
    bias.quantisation = per_channel([0.0004] * (rows - 1) + [0.0002], 0)
    outcomes = compiled(graph, tmp_path, "rpi4", "nrf52840")
    assert not outcomes["rpi4"].refusals
    (refusal,) = outcomes["nrf52840"].refusals
    assert "one per channel" in refusal.seen


def test_passes_leave_operators_whose_two_ends_stand_for_other_reals(tmp_path: Path) -> None:
    graph = TfliteGraph()
    given = graph.input((1, 4, 4, 2), np.int8, per_tensor(0.02, -3))
    moved = graph.add(
        "RESHAPE", [given, graph.indices(1, 32)], (1, 32), np.int8, per_tensor(0.05, 7), new_shape=[1, 32]
    )
    result = graph.graph(graph.add("LOGISTIC", [moved], (1, 32), np.int8, per_tensor(1 / 256, -128)))
    kept = artifact(compiled(result, tmp_path, "rpi4")["rpi4"])
    assert [operator.kind for operator in read_tflite(kept).operators] == ["RESHAPE", "LOGISTIC"]
    assert_same_bits(write_tflite(result), kept, result, cases=20)


def test_states_stay_in_the_file_and_begin_at_rest(tmp_path: Path) -> None:
    graph = memory_network(1)
    outcome = compiled(graph, tmp_path, "rpi4")["rpi4"]
    kept = read_tflite(artifact(outcome))
    assert len(kept.states) == 1
    assert not outcome.refusals
    runner = open_runner(artifact(outcome), "tflite", execution="plain")
    case = [np.random.default_rng(0).normal(0, 2, (1, 16)).astype(np.float32)]
    assert np.array_equal(runner.run(case)[0], runner.run(case)[0])


def test_states_are_inputs_and_outputs_of_an_onnx_artifact(tmp_path: Path) -> None:
    source = write_tflite(memory_network(1))
    outcome = compiled(source, tmp_path, "x86-64")["x86-64"]
    assert not outcome.refusals
    assert outcome.report.parity[0].argmax_agreement >= 0.9
    session = open_runner(artifact(outcome), "onnx")
    (name, state), (_, after) = ([tensor.name for tensor in side] for side in (session.inputs, session.outputs))
    assert after == f"{state}/next"
    assert outcome.report.bundle is not None
    with Bundle(Path(outcome.report.bundle.path)) as bundle:
        assert [spec.name for spec in bundle.manifest.inputs] == [name, state]
    interpreter = Interpreter(
        model_content=source, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    held: Any = np.zeros((1, 48), np.float32)
    seen = set()
    for seed in range(12):  # longer than the six steps that the memory spans
        stored = np.random.default_rng(seed).integers(-128, 128, (1, 16)).astype(np.int8)
        interpreter.set_tensor(taken["index"], stored)
        interpreter.invoke()
        expected = (interpreter.get_tensor(given["index"]).astype(np.float32) + 128) / 256
        real, held = session.run([(stored.astype(np.float32) - 3) * np.float32(0.05), held])
        np.testing.assert_allclose(real, expected, atol=1.5 / 256)
        seen.add(expected.tobytes())
    assert len(seen) > 3


def test_a_quantised_source_tells_its_reach_and_constants_in_integers(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    graph = int8_network()
    path.write_bytes(write_tflite(graph))
    source = load_source(path, input_shapes={})
    assert source.quantised is not None
    assert source.inputs[0].reach == pytest.approx((-2.5, 2.6))
    assert source.weights_bytes < len(write_tflite(graph))


def test_quantisation_of_a_16_bit_kind_is_kept(tmp_path: Path) -> None:
    graph = TfliteGraph()
    given = graph.input((1, 8), np.int16, per_tensor(0.001))
    weights = graph.constant(graph.random.integers(-100, 100, (4, 8)), np.int8, per_tensor(0.01))
    bias = graph.constant(graph.random.integers(-100, 100, 4), np.int64, per_tensor(0.00001))
    result = graph.graph(graph.add("FULLY_CONNECTED", [given, weights, bias], (1, 4), np.int16, per_tensor(0.002)))
    for recipe in ("auto", "int16x8"):
        outcome = compiled(result, tmp_path, "rpi4", recipe=recipe)["rpi4"]
        assert outcome.report.recipe == "source"
        assert_same_bits(write_tflite(result), artifact(outcome), result, cases=20)
    onnx = compiled(result, tmp_path, "x86-64")["x86-64"]
    assert not onnx.refusals
    assert onnx.report.parity[0].max_abs < 0.01


def test_operators_out_of_order_are_malformed(tmp_path: Path) -> None:
    def swap(model: Any) -> None:
        operators = model.subgraphs[0].operators
        operators[0], operators[1] = operators[1], operators[0]

    with pytest.raises(ModelMalformed, match="read before anything writes it"):
        compiled(edited(write_tflite(int8_network()), swap), tmp_path, "rpi4")


def test_operators_without_their_weights_are_malformed(tmp_path: Path) -> None:
    def strip(model: Any) -> None:
        model.subgraphs[0].operators[0].inputs = model.subgraphs[0].operators[0].inputs[:1]

    path = tmp_path / "m.tflite"
    path.write_bytes(edited(write_tflite(int8_network()), strip))
    with pytest.raises(ModelMalformed, match=r"CONV_2D .* has the inputs"):
        load_source(path, input_shapes={})


def test_operators_that_the_hub_lacks_do_no_harm_to_what_stays_tflite(tmp_path: Path) -> None:
    graph = TfliteGraph()
    given = graph.input((1, 4, 4, 2), np.int8, per_tensor(0.02, 4))
    operands = [given, graph.indices(2, 2), graph.indices((0, 0), (0, 0))]
    blocks = graph.add("SPACE_TO_BATCH_ND", operands, (4, 2, 2, 2), np.int8, per_tensor(0.02, 4))
    result = graph.graph(graph.add("LOGISTIC", [blocks], (4, 2, 2, 2), np.int8, per_tensor(1 / 256, -128)))
    outcomes = compiled(result, tmp_path, "rpi4", "nrf52840", "x86-64")
    for target in ("rpi4", "nrf52840"):
        assert not outcomes[target].refusals
        assert_same_bits(write_tflite(result), artifact(outcomes[target]), result, cases=20)
    (refusal,) = outcomes["x86-64"].refusals
    assert isinstance(refusal, OperatorUnsupported)
    assert "SPACE_TO_BATCH_ND" in refusal.seen


@pytest.mark.parametrize("io", ["float", "int8"])
@pytest.mark.parametrize("io_layout", ["source", "native"])
def test_an_onnx_artifact_takes_images_in_either_type_and_layout(io: str, io_layout: str, tmp_path: Path) -> None:
    outcome = compiled(int8_network(1), tmp_path, "x86-64", io=io, io_layout=io_layout)["x86-64"]
    assert not outcome.refusals
    assert outcome.report.parity[0].argmax_agreement >= 0.8
    (taken,) = open_runner(artifact(outcome), "onnx").inputs
    assert taken.dtype == (np.uint8 if io == "int8" else np.float32)
    assert taken.shape == ((1, 3, 8, 8) if io_layout == "native" else (1, 8, 8, 3))
