"""The node tests of the ``onnx`` package's own backend suite, compiled and run.

Of each test the first input stays and the others are frozen to the test's data. What the importer and the hub's passes
make of it is exported as ONNX and run in onnxruntime, and exported as float TFLite and run in LiteRT, both as devices
run it; both must give the outputs that the suite expects, within the suite's own tolerance.

A test that does not run is counted, never left out by its name; ``_judged`` holds the rules. Whatever neither runs nor
is refused by the documented error, with the name of a node, has failed.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests

from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.exporters.onnx import export_onnx
from edgefleet_compiler.exporters.tflite import export_tflite
from edgefleet_compiler.hub.graph import OPSET
from edgefleet_compiler.hub.operators import SUPPORTED
from edgefleet_compiler.importers.onnx import OLDEST_OPSET, import_onnx
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.tflite.versions import operator_version
from edgefleet_contract.errors import OperatorUnsupported

Format = Literal["onnx", "tflite"]
Verdict = Literal["run", "refused", "skipped", "unclaimed", "failed"]
Array = NDArray[np.generic]
Builtins = tuple[tuple[str, int], ...]

FORMATS: tuple[Format, ...] = ("onnx", "tflite")

SKIPPED = ("elements of type", "depends on the data")
"""What the reason of a refusal says when it is for an element type or for a dynamic shape."""


@dataclass(frozen=True)
class Outcome:
    """What became of one test in one format.

    Attributes:
        test: Its name in the suite.
        operator: The operator that it tests; for a test of an operator's body, with "(expanded)" behind.
        format: What it was exported as.
        verdict: ``run`` where its outputs are right; ``refused`` by name, with the documented error; ``skipped`` for
            its element types, for shapes that depend on its data, for inputs of no elements, or for sequences and
            optionals; ``unclaimed`` where
            it needs an operator, a domain or an opset that the compiler does not take; else ``failed``.
        reason: Why it did not run.
        builtins: The operators of the TFLite file, with the version of each; empty for ONNX.
    """

    test: str
    operator: str
    format: Format
    verdict: Verdict
    reason: str = ""
    builtins: Builtins = ()


@cache
def cases() -> tuple[TestCase, ...]:
    """The suite, in its order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of its cases compute infinities on purpose
        return tuple(load_model_tests(kind="node"))


def operator_of(case: TestCase) -> str:
    """The operator that a test is about."""
    name, expanded, _ = case.name.partition("_expanded")
    return f"{_operators()[name]} (expanded)" if expanded else _operators()[name]


@cache
def _operators() -> dict[str, str]:
    return {case.name: str(_model(case).graph.node[-1].op_type) for case in cases()}


def outcomes_of(case: TestCase) -> list[Outcome]:
    """What becomes of one test, in each format."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            Outcome(case.name, operator_of(case), model_format, *_judged(case, model_format))
            for model_format in FORMATS
        ]


def _judged(case: TestCase, model_format: Format) -> tuple[Verdict, str, Builtins]:
    """The verdict on a test, with the reason, and of what it was made where it runs."""
    graph = _model(case).graph
    versions = [entry.version for entry in _model(case).opset_import if entry.domain == ""]
    if not versions or versions[0] < OLDEST_OPSET:
        return "unclaimed", "other domains than ai.onnx, or an opset before 7", ()
    if any(value.type.WhichOneof("value") != "tensor_type" for value in (*graph.input, *graph.output)):
        return "skipped", "sequence or optional", ()
    if any(
        dimension.HasField("dim_value") and not dimension.dim_value
        for value in graph.input
        for dimension in value.type.tensor_type.shape.dim
    ):
        return "skipped", "an input of no elements"
    try:
        return "run", "", run_case(case, model_format)
    except OperatorUnsupported as error:
        return *_judged_refusal(error), ()
    except _RealBorder as border:
        return "skipped", str(border), ()
    except Exception as error:  # noqa: BLE001 - whatever it is, the test has failed and the others go on
        return "failed", f"{type(error).__name__}: {' '.join(str(error).split())}", ()


def _judged_refusal(error: OperatorUnsupported) -> tuple[Verdict, str]:
    parts = error.facts.get("operators")
    if not isinstance(parts, list) or not all(part.get("node") for part in parts):
        return "failed", f"a refusal that names no node: {error}"
    unclaimed = [part["operator"] for part in parts if part["operator"] not in {*SUPPORTED, "input", "output"}]
    if unclaimed:
        return "unclaimed", f"operator {unclaimed[0]}"
    reason = parts[0]["reason"]
    return "skipped" if any(words in reason for words in SKIPPED) else "refused", reason


def run_case(case: TestCase, model_format: Format) -> Builtins:
    """Compile a test and compare what comes out with what the suite expects.

    Returns:
        The operators of the TFLite file, with the version of each, in the order of their names; none for ONNX.

    Raises:
        AssertionError: It is something else.
        EdgefleetError: It cannot be compiled.
    """
    assert case.data_sets is not None
    inputs, expected = ([_array(value) for value in values] for values in case.data_sets[0])
    hub = _hub(case, inputs)
    _check_border([*hub.graph.inputs, *hub.graph.outputs], [*inputs[: len(hub.graph.inputs)], *expected])
    if model_format == "onnx":
        data, builtins = export_onnx(hub, max_opset=OPSET, io="float", io_layout="source"), set()
    else:
        data, graph = export_tflite(hub, io="float", io_layout="source")
        builtins = {(operator.kind, operator_version(operator, graph)) for operator in graph.operators}
    runner = open_runner(data, model_format)
    results = runner.infer(inputs[: len(runner.inputs)])
    for result, wanted in zip(results, expected, strict=True):
        assert (result.dtype, result.shape) == (wanted.dtype, wanted.shape)
        np.testing.assert_allclose(result, wanted, rtol=case.rtol, atol=case.atol)
    return tuple(sorted(builtins))


class _RealBorder(Exception):
    """A quantised test, whose integers at the border become the reals that they stand for."""


def _check_border(values: Sequence[ir.Value], arrays: Sequence[Array]) -> None:
    for value, array in zip(values, arrays, strict=True):
        if value.dtype == ir.DataType.FLOAT and array.dtype != np.float32:
            raise _RealBorder(f"elements of type {array.dtype} at the border, which the hub takes as reals")


def _hub(case: TestCase, inputs: list[Array]) -> ir.Model:
    """The test in the hub's normal form, with all inputs but the first frozen."""
    model = onnx.ModelProto()
    model.CopyFrom(_model(case))
    for value, array in list(zip(model.graph.input, inputs, strict=True))[1:]:
        model.graph.initializer.append(numpy_helper.from_array(array, value.name))
    hub = import_onnx(model.SerializeToString(), folder=Path(), input_shapes={})
    simplify(hub)
    return hub


def _model(case: TestCase) -> onnx.ModelProto:
    assert case.model is not None
    return case.model


def _array(value: object) -> Array:
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)
