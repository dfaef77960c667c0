"""Low rank: layers become chains that compute the same where they can, and nearly the same where data let them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from msgspec.structs import replace

from edgefleet_compiler.checks.fidelity import output_sqnr_db
from edgefleet_compiler.compress.low_rank.check import full_ranks
from edgefleet_compiler.compress.low_rank.costs import cost_of
from edgefleet_compiler.compress.low_rank.factored import factored
from edgefleet_compiler.compress.low_rank.words import Factors
from edgefleet_compiler.compress.settings import Compression
from edgefleet_compiler.hub.graph import constant, products
from edgefleet_compiler.hub.session import Session, serialise
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.progress import Silent
from edgefleet_compiler.recipe import Recipe
from edgefleet_compiler.recipe.file import read_recipe
from edgefleet_contract.errors import RecipeMalformed, RecipeUnfit
from support.onnx_graphs import OnnxGraph


def cases_of(shape, count=64, seed=1):
    random = np.random.default_rng(seed)
    return [{"x": random.normal(0.5, 1, shape).astype(np.float32)} for _ in range(count)]


def outputs(model, cases):
    session = Session(model)
    return np.stack([next(iter(session.run(case).values())) for case in cases])


def low(random, *shape, rank):
    """A matrix of a rank."""
    return random.normal(size=(shape[0], rank)) @ random.normal(size=(rank, shape[1])) / rank


def fully_connected(operator, *shape):
    graph = OnnxGraph(seed=3)
    graph.input("x", *shape)
    matrix = low(graph.random, 12, 10, rank=3)
    if operator == "Gemm":
        return graph.node("Gemm", "x", graph.constant(matrix), graph.constant(np.arange(12)), transB=1), graph
    return graph.node("MatMul", "x", graph.constant(matrix.T)), graph


def convolution(kernel, tensor, **attributes):
    graph = OnnxGraph(seed=3)
    graph.input("x", 1, 6, 9, 8)
    weights = tensor(graph.random, 8, 6, *kernel)
    inputs = ["x", graph.constant(weights), graph.constant(np.linspace(-1, 1, 8))]
    return graph.node("Conv", *inputs, kernel_shape=list(kernel), group=1, **attributes), graph


def of_low_rank(random, outputs, inputs, *kernel):
    return low(random, outputs, inputs * int(np.prod(kernel)), rank=3).reshape(outputs, inputs, *kernel)


def separable(random, outputs, inputs, height, width):
    columns, rows = random.normal(size=(2, inputs, height)), random.normal(size=(outputs, 2, width))
    return np.einsum("riy,orx->oiyx", columns, rows)


def of_low_tucker_ranks(random, outputs, inputs, *kernel):
    core = random.normal(size=(4, 3, *kernel))
    return np.einsum("os,sryx,ri->oiyx", random.normal(size=(outputs, 4)), core, random.normal(size=(3, inputs)))


PLAIN = {"pads": [1, 1, 1, 1], "strides": [1, 1], "dilations": [1, 1]}
ODD = {"pads": [2, 0, 1, 1], "strides": [2, 1], "dilations": [2, 1]}
EXACT = [
    (fully_connected("Gemm", 1, 10), "svd 3"),
    (fully_connected("Gemm", 5, 10), "svd 3"),
    (fully_connected("MatMul", 1, 5, 10), "svd 3"),
    (fully_connected("Gemm", 1, 10), "svd 7"),
    (convolution((1, 1), of_low_rank, strides=[2, 2], pads=[0, 0, 0, 0], dilations=[1, 1]), "svd 3"),
    (convolution((3, 3), of_low_rank, **PLAIN), "svd 3"),
    (convolution((3, 2), separable, **PLAIN), "spatial 2"),
    (convolution((3, 2), separable, **ODD), "spatial 2"),
    (convolution((3, 3), of_low_tucker_ranks, **PLAIN), "tucker 3 4"),
    (convolution((3, 2), of_low_tucker_ranks, **ODD), "tucker 3 4"),
]


@pytest.mark.parametrize(("built", "words"), EXACT)
def test_a_layer_of_a_rank_is_reproduced_at_that_rank(built, words):
    output, graph = built
    model = graph.model(output)
    (layer,) = model.graph
    cases = cases_of(model.graph.inputs[0].shape.numpy())
    chain = factored(model, {layer.name: words}, cases, Silent())
    others = cases_of(model.graph.inputs[0].shape.numpy(), seed=2)
    expected = outputs(model, others)
    np.testing.assert_allclose(outputs(chain, others), expected, atol=2e-5 * np.abs(expected).max())
    assert [node.name for node in chain.graph][-1] == layer.name
    assert chain.graph.outputs[0].name == output
    assert len(chain.graph) == 1 + len(Factors.parse(words).ranks)


@pytest.mark.parametrize(("built", "words"), EXACT)
def test_a_chain_costs_what_is_said_of_it(built, words):
    output, graph = built
    model = graph.model(output)
    (layer,) = model.graph
    chain = factored(model, {layer.name: words}, cases_of(model.graph.inputs[0].shape.numpy(), 4), Silent())
    said = cost_of(layer, Factors.parse(words))
    assert said.macs == products(chain.graph)
    assert said.weights == sum(constant(node.inputs[1]).size for node in chain.graph)


def bottleneck():
    """A wide layer of which the rest lets two directions through, and a layer of its own behind these."""
    graph = OnnxGraph(seed=5)
    graph.input("x", 1, 24)
    hidden = graph.node("Relu", graph.gemm("x", 24, 32))
    narrow = graph.gemm(hidden, 32, 2)
    wide = graph.node("Relu", graph.gemm(narrow, 2, 32))
    return graph.model(graph.gemm(wide, 32, 20))


def plainly_truncated(model, place, rank):
    copy = model.clone()
    value = [node for node in copy.graph if node.op_type == "Gemm"][place].inputs[1]
    left, values, right = np.linalg.svd(constant(value).astype(np.float64))
    product = (left[:, :rank] * values[:rank]) @ right[:rank]
    value.const_value = ir.Tensor(product.astype(np.float32), name=value.name)
    return copy


@pytest.mark.parametrize(("place", "rank", "gain"), [(0, 4, 6.0), (3, 4, 12.0)])
def test_data_and_what_matters_further_on_beat_the_plain_decomposition(place, rank, gain):
    model = bottleneck()
    layer = [node for node in model.graph if node.op_type == "Gemm"][place]
    judges = cases_of((1, 24), 200, seed=7)
    chain = factored(model, {layer.name: f"svd {rank}"}, cases_of((1, 24), 128), Silent())
    assert (
        output_sqnr_db(model, chain, judges)
        > output_sqnr_db(model, plainly_truncated(model, place, rank), judges) + gain
    )


def test_what_comes_behind_makes_up_for_what_a_chain_lost():
    model = bottleneck()
    layer = next(node for node in model.graph if node.op_type == "Gemm")
    chain = factored(model, {layer.name: "svd 2"}, cases_of((1, 24), 128), Silent())
    judges = cases_of((1, 24), 400, seed=7)
    np.testing.assert_allclose(outputs(chain, judges).mean(axis=0), outputs(model, judges).mean(axis=0), atol=0.1)


def test_values_between_factors_are_all_of_one_size():
    model = bottleneck()
    layer = next(node for node in model.graph if node.op_type == "Gemm")
    cases = cases_of((1, 24), 128)
    chain = factored(model, {layer.name: "svd 8"}, cases, Silent())
    chain.graph.outputs.append(next(iter(chain.graph)).outputs[0])
    between = np.stack([list(Session(chain).run(case).values())[1] for case in cases])
    np.testing.assert_allclose(np.square(between, dtype=np.float64).mean(axis=(0, 1)), 1, rtol=1e-3)


def net():
    graph = OnnxGraph()
    graph.input("x", 1, 4, 6, 6)
    attributes = {"strides": [1, 1], "dilations": [1, 1]}
    first = graph.conv("x", (4, 8), (3, 3), pads=[1, 1, 1, 1], group=1, **attributes)
    depthwise = graph.conv(first, (8, 8), (3, 3), pads=[1, 1, 1, 1], group=8, **attributes)
    pointwise = graph.conv(depthwise, (8, 8), (1, 1), pads=[0, 0, 0, 0], group=1, **attributes)
    return graph.model(graph.node("Relu", pointwise))


@pytest.mark.parametrize(
    ("number", "words", "error", "said"),
    [
        (0, "svd 8", RecipeMalformed, "ranks 8"),
        (0, "tucker 4 3", RecipeMalformed, "ranks 4 and 8"),
        (0, "spatial 12", RecipeMalformed, "ranks 12"),
        (1, "svd 2", RecipeUnfit, "groups"),
        (2, "spatial 2", RecipeUnfit, "no kernel of two axes"),
        (2, "tucker 2 2", RecipeUnfit, "no kernel to keep"),
        (3, "svd 2", RecipeUnfit, "no constant weights"),
    ],
)
def test_what_cannot_be_factored_is_refused_with_its_name_and_why(number, words, error, said):
    model = net()
    name = list(model.graph)[number].name
    with pytest.raises(error) as refusal:
        factored(model, {name: words}, cases_of((1, 4, 6, 6), 2), Silent())
    assert repr(name) in refusal.value.seen
    assert said in refusal.value.seen


def test_a_layer_that_is_not_there_is_refused_with_near_names():
    model = net()
    name = next(iter(model.graph)).name
    with pytest.raises(RecipeMalformed) as refusal:
        factored(model, {f"{name}x": "svd 2"}, cases_of((1, 4, 6, 6), 2), Silent())
    assert repr(name) in refusal.value.remedy


@pytest.mark.parametrize(
    "text", ["svd", "svd 0", "svd 1 2", "tucker 3", "spatial 03", "low 3", "svd -1", "svd 3 ", "svd 1.5"]
)
def test_words_that_are_none_are_refused(text):
    with pytest.raises(ValueError, match="svd R"):
        Factors.parse(text)


def test_a_recipe_with_such_words_is_refused_and_one_with_others_is_written_as_read(tmp_path):
    plain = Recipe(scheme="float", format="onnx", io="float", io_layout="source", seed=0)
    recipe = replace(plain, compress=Compression(low_rank={"a": "svd 3", 'b"c': "tucker 1 2"}))
    file = tmp_path / "recipe.toml"
    options = CompileOptions(tmp_path / "model.onnx", ("x86-64",), tmp_path / "out")
    file.write_text(recipe.to_toml())
    assert read_recipe(file, options) == recipe
    file.write_text(recipe.to_toml().replace("svd 3", "svd 0"))
    with pytest.raises(RecipeMalformed, match=r"'svd 0' is none of svd R.*for the layer 'a'"):
        read_recipe(file, options)


@pytest.mark.parametrize("text", ["svd 24", "spatial 8", "tucker 12 16"])
def test_words_are_written_as_they_are_read(text):
    assert str(Factors.parse(text)) == text


def test_full_ranks_are_those_of_the_matrices():
    first, _, pointwise, _ = net().graph
    assert full_ranks(first, "svd") == (8,)
    assert full_ranks(first, "spatial") == (12,)
    assert full_ranks(first, "tucker") == (4, 8)
    assert full_ranks(pointwise, "svd") == (8,)


def test_the_same_bytes_come_out_on_any_number_of_threads():
    here = Path(__file__).resolve()
    script = (
        "import importlib.util, sys\n"
        f"sys.path.insert(0, {str(here.parents[1])!r})\n"
        f"spec = importlib.util.spec_from_file_location('low_rank', {str(here)!r})\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "print(module.digest())\n"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads, "PYTHONHASHSEED": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    ]
    assert said[0] == said[1]
    assert len(said[0].strip()) == 64


def digest():
    """Of a factored hub with layers large enough for the BLAS library to share them among threads."""
    graph = OnnxGraph(seed=5)
    graph.input("x", 1, 160)
    model = graph.model(graph.gemm(graph.node("Relu", graph.gemm("x", 160, 192)), 192, 96))
    words = {node.name: "svd 24" for node in model.graph if node.op_type == "Gemm"}
    return hashlib.sha256(serialise(factored(model, words, cases_of((1, 160), 48), Silent()))).hexdigest()
