"""What runtimes really compute integers with: the tables that the quantiser goes by are true of them."""

from __future__ import annotations

import pytest

from edgefleet_compiler.hub.operators import SIXTEEN_BITS
from support.executed_types import Executed, executed_types


@pytest.fixture(scope="module")
def found() -> tuple[Executed, ...]:
    return executed_types()


def test_litert_computes_in_sixteen_bits_what_the_table_says(found: tuple[Executed, ...]) -> None:
    wide = {each.layer for each in found if each.scheme == "int16x8" and each.litert == "int16"}
    assert wide == {each.layer for each in found if each.layer.split()[0] in SIXTEEN_BITS}


def test_litert_computes_all_layers_in_eight_bits(found: tuple[Executed, ...]) -> None:
    assert {each.litert for each in found if each.scheme == "int8"} == {"int8"}


def test_xnnpack_takes_no_sixteen_bits(found: tuple[Executed, ...]) -> None:
    assert [each.layer for each in found if each.litert == "int16" and each.xnnpack] == []


def test_onnxruntime_only_moves_sixteen_bits(found: tuple[Executed, ...]) -> None:
    assert {each.layer for each in found if each.onnxruntime == "int16"} == {
        "Concat", "Expand", "Gather", "Reshape", "Slice", "Split", "Tile", "Transpose",
    }  # fmt: skip


def test_onnxruntime_has_integer_kernels_for_nearly_all_of_eight_bits(found: tuple[Executed, ...]) -> None:
    in_float = {each.layer for each in found if each.scheme == "int8" and each.onnxruntime == "float32"}
    assert in_float == {"Gelu", "HardSwish", "ReduceMean", "Sub", "Tanh"}
