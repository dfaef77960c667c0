"""Who makes models smaller than int8 does, and trains nothing: fewer bits, lower ranks, fewer channels.

The peers have 4-bit weights, rounded to nearest; those that prune channels need a training framework. What stands
beside edgefleet's pruning is the same share of channels by magnitude, with nothing that makes up for them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from benchmarks.contenders import FORMATS, Contender, edgefleet, module
from benchmarks.published import plain_float
from benchmarks.subjects import Subject

_BUDGETS: Final = {
    "ic": ("60KiB", "45KiB"),
    "kws": ("28KiB", "22KiB"),
    "vww": ("160KiB", "80KiB"),
    "ad": ("200KiB", "150KiB"),
    "digits": ("8KiB", "6KiB"),
}
_RATIOS: Final = ("0.2", "0.5")
CHOSEN: Final = tuple(f"auto, {budget}" for budgets in _BUDGETS.values() for budget in budgets)
"""Settings that search the best model within a budget."""


def ways(subject: Subject, folder: Path, float_onnx: Path) -> list[Contender]:
    """Everybody's ways to make a subject small."""
    found = []
    for form in FORMATS:
        chosen = ("--validation", str(subject.data.tuning), "--max-drop", "1")
        found.append(edgefleet(subject, folder, "int8", form, "int8", repeats=1))
        for budget in _BUDGETS[subject.name]:
            limit = ("--max-flash", budget, *chosen)
            found.append(edgefleet(subject, folder, f"auto, {budget}", form, "auto", *limit, repeats=1))
        for ratio in _RATIOS:
            pruned = edgefleet(subject, folder, f"int8, --prune {ratio}", form, "int8", "--prune", ratio, repeats=1)
            found += [pruned, _by_magnitude(pruned, ratio)]
    return [*found, *_peers(subject, folder, float_onnx)]


def _by_magnitude(pruned: Contender, ratio: str) -> Contender:
    """The same channel counts, but the largest weights stay, and nothing makes up for the others."""
    out = pruned.file.parent.parent.with_name(f"{pruned.file.parent.parent.name}-magnitude")
    arguments = module("prune_by_magnitude", pruned.file.parent, out, *pruned.arguments)
    file = out / pruned.file.parent.name / pruned.file.name
    return Contender("magnitude", f"int8, {ratio} pruned", pruned.format, arguments, file, repeats=1)


def _peers(subject: Subject, folder: Path, float_onnx: Path) -> list[Contender]:
    calibration, found = subject.data.calibration, []
    if subject.model.suffix == ".tflite":
        plain = folder / f"{subject.name}-plain.tflite"
        plain.write_bytes(plain_float(subject.model.read_bytes()))
        file = folder / f"{subject.name}-aeq-4.tflite"
        arguments = module("peer_ai_edge_quantizer", plain, calibration, file, "min-max", 4)
        found.append(Contender("ai-edge-quantizer", "4 bits", "tflite", arguments, file, repeats=1))
    file = folder / f"{subject.name}-U8S4.onnx"
    arguments = module("peer_onnxruntime", float_onnx, calibration, file, "U8S4", "min-max")
    found.append(Contender("onnxruntime", "U8S4 min-max", "onnx", arguments, file, repeats=1))
    return found
