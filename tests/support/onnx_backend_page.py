"""What became of the backend suite's node tests, as a page of the documentation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from support.onnx_backend import FORMATS, Format, Outcome, Verdict
from support.onnx_backend_operators import operators_page

NAMES: dict[Format, str] = {"onnx": "ONNX", "tflite": "TFLite"}
COUNTED: tuple[Verdict, ...] = ("run", "refused", "skipped")


def pages(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """What the suite knows, as pages of ``docs/reference`` by their names."""
    return {"node-tests.md": counts_page(outcomes), "operators.md": operators_page(outcomes)}


def counts_page(outcomes: Sequence[Outcome]) -> str:
    """The counts by operator, then why tests were refused or skipped."""
    claimed = [outcome for outcome in outcomes if outcome.verdict != "unclaimed"]
    tests = len(outcomes) // len(FORMATS)
    lines = [
        "<!-- written by scripts/backend_suite.py --write; do not edit -->", "# Node tests of the onnx package", "",
        f"The `onnx` package's backend suite has {tests} node tests. Those whose operators we claim are compiled, with",
        "every input but the first frozen, and run: as ONNX in onnxruntime, as float TFLite in LiteRT. None fails.", "",
        "- *run*: the outputs are the suite's, within its tolerance.",
        "- *refused*: the compiler refuses by name what the format or the compiler cannot express.",
        "- *skipped*: for element types that are not taken, shapes that depend on the data, sequences, optionals.",
        "", f"| operator | {_columns()} |", f"|---|{'---|' * len(COUNTED) * len(FORMATS)}",
        f"| **all** | {_cells(Counter((each.format, each.verdict) for each in claimed))} |",
    ]  # fmt: skip
    lines += _operator_lines(claimed)
    for verdict in ("refused", "skipped"):
        lines += ["", f"## Why tests are {verdict}", "", "| operator | format | tests | reason |", "|---|---|---|---|"]
        lines += _reason_lines([outcome for outcome in claimed if outcome.verdict == verdict])
    return "\n".join(lines) + "\n"


def _columns() -> str:
    return " | ".join(f"{NAMES[each]} {verdict}" for each in FORMATS for verdict in COUNTED)


def _cells(counts: Counter[tuple[Format, Verdict]]) -> str:
    return " | ".join(str(counts[each, verdict]) for each in FORMATS for verdict in COUNTED)


def _operator_lines(claimed: Sequence[Outcome]) -> Iterator[str]:
    for operator in sorted({outcome.operator for outcome in claimed}):
        counts = Counter((each.format, each.verdict) for each in claimed if each.operator == operator)
        yield f"| {operator} | {_cells(counts)} |"


def _reason_lines(outcomes: Sequence[Outcome]) -> Iterator[str]:
    reasons = Counter((each.operator, NAMES[each.format], each.reason) for each in outcomes)
    for (operator, name, reason), count in sorted(reasons.items()):
        yield f"| {operator} | {name} | {count} | {reason} |"
