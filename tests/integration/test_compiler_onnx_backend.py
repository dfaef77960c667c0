"""The node tests of the ``onnx`` package's backend suite, for every operator that the compiler claims."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefleet_compiler.hub.operators import SUPPORTED
from support.onnx_backend import Format, Outcome
from support.onnx_backend_page import pages
from support.onnx_backend_workers import outcomes

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"

pytestmark = pytest.mark.integration


def of(model_format: Format, verdict: str) -> list[Outcome]:
    return [each for each in outcomes() if each.format == model_format and each.verdict == verdict]


@pytest.mark.parametrize("model_format", ["onnx", "tflite"])
def test_no_node_test_of_a_claimed_operator_fails(model_format: Format) -> None:
    assert [(each.test, each.reason) for each in of(model_format, "failed")] == []


@pytest.mark.parametrize(("model_format", "floor"), [("onnx", 1000), ("tflite", 900)])
def test_as_many_node_tests_run_as_are_promised(model_format: Format, floor: int) -> None:
    assert len(of(model_format, "run")) >= floor


@pytest.mark.parametrize("name", ["node-tests.md", "operators.md"])
def test_the_documented_counts_and_operators_are_those_of_the_suite(name: str) -> None:
    committed = (REFERENCE / name).read_text()
    assert committed == pages(outcomes())[name], "run: python scripts/backend_suite.py --write"


def test_no_claimed_operator_is_refused_in_all_its_tests() -> None:
    verdicts = {(each.operator, each.verdict) for each in outcomes() if each.format == "onnx"}
    refused = {operator for operator, verdict in verdicts if verdict == "refused"} & SUPPORTED
    assert sorted(operator for operator in refused if (operator, "run") not in verdicts) == []
