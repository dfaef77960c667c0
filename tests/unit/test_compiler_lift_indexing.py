"""TFLite operators on integers and truths, and those that pick and repeat elements, in the hub."""

from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.importers.tflite import import_tflite
from edgefleet_compiler.lift import lift
from edgefleet_compiler.tflite.writer import write_tflite
from edgefleet_contract.errors import OperatorUnsupported
from support.lifting import assert_lifts
from support.tflite_graphs import Shape, TfliteGraph


def small_integers(builder: TfliteGraph, *shape: int) -> str:
    """Integers 0, 1 and 2 that come with the data."""
    small = builder.add("MINIMUM", [builder.input(shape), builder.constant(2, np.float32)], shape)
    positive = builder.add("RELU", [small], shape)
    return builder.add("CAST", [builder.add("FLOOR", [positive], shape)], shape, np.int32)


def truths(builder: TfliteGraph, *shape: int) -> str:
    return builder.add("GREATER", [builder.input(shape), builder.constant(0, np.float32)], shape, np.bool_)


@pytest.mark.parametrize("kind", ["EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"])
def test_comparisons_of_floats_and_of_integers(kind: str) -> None:
    builder = TfliteGraph()
    floats = builder.add(kind, [builder.input((2, 1, 4)), builder.input((3, 1))], (2, 3, 4), np.bool_)
    integers = [small_integers(builder, 2, 5), small_integers(builder, 5)]
    assert_lifts(builder.graph(floats, builder.add(kind, integers, (2, 5), np.bool_)))


def test_logical_operators_and_choices() -> None:
    builder = TfliteGraph()
    one, other = truths(builder, 3, 4), truths(builder, 4)
    both = builder.add("LOGICAL_AND", [one, other], (3, 4), np.bool_)
    either = builder.add("LOGICAL_OR", [one, builder.add("LOGICAL_NOT", [other], (4,), np.bool_)], (3, 4), np.bool_)
    chosen = builder.add("SELECT_V2", [both, builder.input((3, 4)), builder.input((1, 4))], (3, 4))
    old = builder.add("SELECT", [either, builder.input((3, 4)), chosen], (3, 4))
    assert_lifts(builder.graph(old, either))


def test_an_older_choice_with_another_condition_is_unsupported() -> None:
    builder = TfliteGraph()
    condition = truths(builder, 3)
    chosen = builder.add("SELECT", [condition, builder.input((3, 4)), builder.input((3, 4))], (3, 4))
    with pytest.raises(OperatorUnsupported, match="another shape"):
        lift(builder.graph(chosen))


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL", "MAXIMUM", "FLOOR_MOD"])
def test_arithmetic_of_integers(kind: str) -> None:
    builder = TfliteGraph()
    operands = [small_integers(builder, 2, 5), builder.constant([3, -2, 1, 5, -7], np.int32)]
    assert_lifts(builder.graph(builder.add(kind, operands, (2, 5), np.int32)))


def test_a_quotient_rounded_down_of_floats() -> None:
    builder = TfliteGraph()
    operands = [builder.input((2, 5)), builder.constant([0.3, -0.2, 1, 0.5, -0.7], np.float32)]
    assert_lifts(builder.graph(builder.add("FLOOR_DIV", operands, (2, 5))))


@pytest.mark.parametrize(("axis", "shape"), [(0, (2, 2, 4)), (1, (3, 2, 2)), (-1, (3, 2, 2))])
def test_slices_by_indices(axis: int, shape: Shape) -> None:
    builder = TfliteGraph()
    operands = [builder.input((3, 4)), builder.constant([[0, 2], [1, 1]], np.int32)]
    assert_lifts(builder.graph(builder.add("GATHER", operands, shape, axis=axis, batch_dims=0)))


def test_an_embedding_and_coordinates_that_come_with_the_data() -> None:
    builder = TfliteGraph()
    embedded = builder.add("GATHER", [builder.weights(3, 6), small_integers(builder, 1, 5)], (1, 5, 6), axis=0)
    picked = builder.add("GATHER_ND", [builder.input((3, 3, 4)), small_integers(builder, 5, 2)], (5, 4))
    assert_lifts(builder.graph(embedded, picked))


def test_repeated_elements() -> None:
    builder = TfliteGraph()
    tiled = builder.add("TILE", [builder.input((1, 3, 2)), builder.indices(2, 1, 3)], (2, 3, 6))
    spread = builder.add("BROADCAST_TO", [builder.input((3, 1)), builder.indices(2, 3, 4)], (2, 3, 4))
    assert_lifts(builder.graph(tiled, spread))


@pytest.mark.parametrize("kind", ["ARG_MAX", "ARG_MIN"])
@pytest.mark.parametrize(("dtype", "name"), [(np.int32, "INT32"), (np.int64, "INT64")])
def test_positions_of_extremes(kind: str, dtype: type[np.generic], name: str) -> None:
    builder = TfliteGraph()
    operands = [builder.input((3, 4, 5)), builder.constant(-1, np.int32)]
    assert_lifts(builder.graph(builder.add(kind, operands, (3, 4), dtype, output_type=name)))


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_running_sums(exclusive: bool, reverse: bool) -> None:
    builder = TfliteGraph()
    operands = [builder.input((3, 4, 5)), builder.constant(1, np.int32)]
    assert_lifts(builder.graph(builder.add("CUMSUM", operands, (3, 4, 5), exclusive=exclusive, reverse=reverse)))


@pytest.mark.parametrize(("axis", "shape"), [(-1, (3, 4, 3)), (0, (3, 3, 4))])
def test_entries_at_indices_but_not_at_negative_ones(axis: int, shape: Shape) -> None:
    builder = TfliteGraph()
    shifted = builder.add("SUB", [small_integers(builder, 3, 4), builder.constant(1, np.int32)], (3, 4), np.int32)
    settings = [builder.constant(number, np.int32) for number in (3,)]
    values = [builder.constant(number, np.float32) for number in (2.5, -1.0)]
    assert_lifts(builder.graph(builder.add("ONE_HOT", [shifted, *settings, *values], shape, axis=axis)))


def test_blocks_between_depth_and_space() -> None:
    builder = TfliteGraph()
    spread = builder.add("DEPTH_TO_SPACE", [builder.input((1, 3, 2, 8))], (1, 6, 4, 2), block_size=2)
    assert_lifts(builder.graph(spread, builder.add("SPACE_TO_DEPTH", [spread], (1, 3, 2, 8), block_size=2)))


def test_reflected_borders() -> None:
    builder = TfliteGraph()
    paddings = builder.constant([[0, 0], [1, 2], [0, 1], [0, 0]], np.int32)
    operands = [builder.input((1, 4, 3, 2)), paddings]
    assert_lifts(builder.graph(builder.add("MIRROR_PAD", operands, (1, 7, 4, 2), mode="REFLECT")))
    symmetric = TfliteGraph()
    pads = symmetric.constant([[0, 0], [1, 1]], np.int32)
    padded = symmetric.add("MIRROR_PAD", [symmetric.input((2, 3)), pads], (2, 5), mode="SYMMETRIC")
    with pytest.raises(OperatorUnsupported, match="SYMMETRIC"):
        import_tflite(write_tflite(symmetric.graph(padded)))


@pytest.mark.parametrize(("given", "wanted"), [(np.float32, np.int32), (np.float32, np.bool_), (np.int32, np.float32)])
def test_conversions_of_elements(given: type[np.generic], wanted: type[np.generic]) -> None:
    builder = TfliteGraph()
    source = builder.input((2, 5)) if given is np.float32 else small_integers(builder, 2, 5)
    assert_lifts(builder.graph(builder.add("CAST", [source], (2, 5), wanted)))
