"""The table of operators, generated: from the compiler's own tables, and from what it made of the backend suite."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from onnx import defs

from edgefleet_compiler.hub.graph import OPSET
from edgefleet_compiler.hub.operators import PARAMETERS, QUANTISED, SUPPORTED
from edgefleet_compiler.importers.onnx import OLDEST_OPSET
from edgefleet_compiler.lift import LIFTERS
from edgefleet_compiler.lift.single_outputs import DIVISIONS
from edgefleet_compiler.lower.operators import RULES
from edgefleet_compiler.quantise.dynamic import ROUNDED
from edgefleet_compiler.quantise.fp16 import WEIGHTED as HALVED
from edgefleet_compiler.quantise.operators import CLIPPING, FIXED, RESCALING, SHARING, WEIGHTED
from edgefleet_compiler.quantise.weight_only import WEIGHTS as STORED
from edgefleet_compiler.tflite.kernel_types import types_of
from edgefleet_hardware.profile import RuntimeName, load_profile, target_names
from edgefleet_hardware.runtime_limits import RuntimeLimits, limits_of
from support.executed_types import executed_rows
from support.onnx_backend import Builtins, Outcome

INTEGER = WEIGHTED.keys() | RESCALING | CLIPPING | SHARING | FIXED.keys()
"""Operators with an int8 form in ONNX artifacts."""

DESKTOP: Final[tuple[RuntimeName, ...]] = ("tflite-runtime", "litert")
"""TFLite's runtimes that look at versions, the older first."""

_NARROW = {"int8", "int16"}
_NAMES = {"onnx": "ONNX", "tflite": "TFLite"}

_HEAD = (
    "operator | takes as constants | TFLite operators, with their versions | smallest TFLite runtime | TFLite Micro "
    "| int8 in TFLite | int8 in ONNX | 4-bit weights in int8 | dynamic | 16-bit weights | 8- and 4-bit weights in float"
)


def operators_page(outcomes: Sequence[Outcome]) -> str:
    """The page: ONNX operators with what they become and where that runs, then TFLite operators that are read."""
    lines = [
        "<!-- written by scripts/backend_suite.py --write; do not edit -->", "# Operators", "",
        f"ONNX sources may be of opset {OLDEST_OPSET} to {defs.onnx_opset_version()}; the hub is of opset {OPSET}, and",
        "so is what ONNX artifacts use at most. Operators that a target's runtime lacks are refused when a model is",
        "compiled, all at once. What of an operator is refused, and why, is told in [Node tests](node-tests.md).", "",
        "## ONNX operators", "",
        "*TFLite operators* are those that the float exports of the backend suite's tests consist of, each with the",
        "least version seen; *smallest runtime* and *TFLite Micro* are those of the test that asks for the least.",
        "Element types are float32, and int32, int64 and bool where TFLite's own operator takes them.", "",
        "*Dynamic* tells in which formats the scheme of that name rounds at run time what the operator reads; of",
        "others, and of convolutions in groups, only the weights are narrow. 4-bit weights in float are widened by",
        "onnxruntime when it loads them, and by LiteRT at each inference.", "",
        f"| {_HEAD} |", f"|{'---|' * (_HEAD.count('|') + 1)}",
        *(_row(operator, outcomes) for operator in sorted(SUPPORTED - {"Constant"})), "",
        "### By their definition", "",
        "ONNX defines these by other operators. The importer writes the definition out.", "",
        ", ".join(f"`{operator}`" for operator in _defined(outcomes)) + ".", "",
        "## Element types", "",
        "What a layer between two convolutions is really computed with, by recipe and runtime; found by loading it.",
        "onnxruntime computes 16-bit layers in float between their pairs; what only moves elements stays in integers.",
        "",
        *executed_rows(), "",
        "## TFLite operators", "",
        "What a `.tflite` source may hold, float or quantised. *Plain types* are those beside float32 that an artifact",
        "may compute with.", "", "| operator | plain types | becomes |", "|---|---|---|",
        *_lifted_rows(), "",
        "## Runtimes", "", "| runtime | release looked at | targets |", "|---|---|---|", *_runtime_rows(),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _row(operator: str, outcomes: Iterable[Outcome]) -> str:
    tests = [each.builtins for each in outcomes if each.operator == operator and each.verdict == "run"]
    tests = [builtins for builtins in tests if builtins]
    cells = [
        f"`{operator}`",
        ", ".join(_constants(operator)),
        ", ".join(f"{kind} {version}" for kind, version in sorted(_least(tests).items())),
        _smallest(tests),
        _micro(tests, integer=operator in RULES and RULES[operator].integer),
        _tick(operator in RULES and RULES[operator].integer),
        _tick(operator in INTEGER | QUANTISED),
        _tick(operator in WEIGHTED),
        ", ".join(_NAMES[artifact] for artifact, rounded in sorted(ROUNDED.items()) if operator in rounded),
        _tick(operator in HALVED),
        _tick(operator in STORED),
    ]
    return f"| {' | '.join(cells)} |"


def _constants(operator: str) -> Iterator[str]:
    """The names of the inputs that must be constants."""
    inputs = defs.get_schema(operator, OPSET).inputs
    return (inputs[index].name for index in PARAMETERS.get(operator, ()) if index < len(inputs))


def _least(tests: Iterable[Builtins]) -> dict[str, int]:
    versions: dict[str, int] = {}
    for kind, version in (each for builtins in tests for each in builtins):
        versions[kind] = min(version, versions.get(kind, version))
    return versions


def _smallest(tests: Sequence[Builtins]) -> str:
    for name in DESKTOP:
        limits = limits_of(name)
        if any(_runs(builtins, limits) for builtins in tests):
            return f"{name} {limits.release}"
    return "none" if tests else ""


def _runs(builtins: Builtins, limits: RuntimeLimits) -> bool:
    newest = {kind: limit.version or 0 for kind, limit in limits.operators.items()}
    return all(version <= newest.get(kind, 0) for kind, version in builtins)


def _micro(tests: Sequence[Builtins], *, integer: bool) -> str:
    """What TFLite Micro computes of the operator, or what it lacks for the test that asks for the least."""
    operators = limits_of("tflite-micro").operators
    if not tests:
        return ""
    easiest = min(tests, key=lambda builtins: sum(kind not in operators for kind, _ in builtins))
    lacking = sorted(kind for kind, _ in easiest if kind not in operators)
    if lacking:
        return f"lacks {', '.join(lacking)}"
    types = set.intersection(*(set(operators[kind].dtypes or ()) for kind, _ in easiest))
    return ", ".join(sorted(types - (set() if integer else _NARROW)))


def _defined(outcomes: Iterable[Outcome]) -> list[str]:
    """Operators without a rule of their own, of which tests run all the same."""
    run = {each.operator for each in outcomes if each.verdict == "run" and each.format == "onnx"}
    return sorted(operator for operator in run - SUPPORTED if " " not in operator)


def _lifted_rows() -> Iterator[str]:
    kinds: dict[str, Callable[..., object]] = {**LIFTERS, **DIVISIONS}
    for kind, lifter in sorted(kinds.items()):
        types = ", ".join(sorted(types_of(kind)))
        yield f"| {kind} | {types} | {'Slice, one for each part' if kind in DIVISIONS else _summary(lifter)} |"


def _runtime_rows() -> Iterator[str]:
    profiles = [load_profile(name) for name in target_names()]
    for name in sorted({runtime.name for profile in profiles for runtime in profile.runtimes}):
        targets = [profile.name for profile in profiles if any(each.name == name for each in profile.runtimes)]
        yield f"| {name} | {limits_of(name).release} | {', '.join(targets)} |"


def _tick(holds: bool) -> str:
    return "yes" if holds else ""


def _summary(thing: object) -> str:
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split()).rstrip(".")
