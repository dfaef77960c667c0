"""Einsum becomes MatMul, for any equation without diagonals."""

from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.passes import simplify
from edgefleet_compiler.passes.einsums import rewrite_einsums
from support.exports import assert_export_agrees, random_inputs, run_hub
from support.onnx_graphs import OnnxGraph

SIZES = {"a": 2, "b": 3, "c": 4, "d": 5, "e": 2, "i": 3, "j": 4}


def einsum(equation: str, *shapes: tuple[int, ...]):
    graph = OnnxGraph()
    operands = [graph.input(f"x{index}", *shape) for index, shape in enumerate(shapes)]
    return graph.model(graph.node("Einsum", *operands, equation=equation))


def shapes_of(equation: str) -> list[tuple[int, ...]]:
    return [tuple(SIZES[letter] for letter in part.strip()) for part in equation.partition("->")[0].split(",")]


@pytest.mark.parametrize(
    "equation",
    [
        "ab->ba", "abc->b", "ab", "ba", "ij->", "ab,bc->ac", "ab,bc", "abc,acd->abd", "abc,adc->abd", "bad,bcd->bac",
        "abcd,aecd->acbe", "a,b->ab", "ab,ab->a", "ab,ab->ab", "ab,ab->", "abi,bcj->ac", "abcd,d->abc", "ab,bc,cd->ad",
        "abc, cd -> abd", "ijb,ibc,icd->jd",
    ],
)  # fmt: skip
def test_equations_compute_what_numpy_does(equation):
    model = einsum(equation, *shapes_of(equation))
    inputs = random_inputs(model)
    expected = np.einsum(equation.replace(" ", ""), *inputs)
    assert rewrite_einsums(model)
    assert all(node.op_type != "Einsum" for node in model.graph)
    np.testing.assert_allclose(run_hub(model, inputs)[0], expected, rtol=1e-4, atol=1e-5)
    simplify(model)
    assert_export_agrees(model)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("...ij,...jk->...ik", [(2, 3, 4), (2, 4, 5)]),
        ("...ij,jk->...ik", [(2, 3, 3, 4), (4, 5)]),
        ("...ij,...jk", [(2, 1, 3, 4), (2, 3, 4, 5)]),
        ("a...->...a", [(2, 3, 4)]),
    ],
)
def test_an_ellipsis_stands_for_any_axes(equation, shapes):
    model = einsum(equation, *shapes)
    inputs = random_inputs(model)
    rewrite_einsums(model)
    np.testing.assert_allclose(run_hub(model, inputs)[0], np.einsum(equation, *inputs), rtol=1e-4, atol=1e-5)


def test_diagonals_stay():
    model = einsum("ii->i", (3, 3))
    assert not rewrite_einsums(model)
    assert [node.op_type for node in model.graph] == ["Einsum"]


def test_attention_by_einsum_is_two_products_of_matrices():
    graph = OnnxGraph()
    query, key, value = (graph.input(name, 1, 6, 2, 4) for name in ("query", "key", "value"))
    scores = graph.node("Softmax", graph.node("Einsum", query, key, equation="bqhd,bkhd->bhqk"), axis=-1)
    model = graph.model(graph.node("Einsum", scores, value, equation="bhqk,bkhd->bqhd"))
    simplify(model)
    assert [node.op_type for node in model.graph].count("MatMul") == 2
    assert_export_agrees(model)
