"""The compiler for notebooks and training scripts: everything that ``edgefleet model compile`` does, on objects.

import edgefleet_compiler as edgefleet

compiled = edgefleet.compile("model.onnx", "rpi4", calibration=images, validation={"x": images, "y": labels})
compiled.report.accuracy.drop, len(compiled.data)
compiled.run({"image": images[:1]})
compiled.save("out/rpi4")
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from edgefleet_compiler.api.compiled_model import CompiledModel
from edgefleet_compiler.api.faults import told_without_files
from edgefleet_compiler.api.options import Data, Model, Options, check_options, make_request
from edgefleet_compiler.api.place import Place
from edgefleet_compiler.pipeline import compile_model
from edgefleet_compiler.progress import Silent

__all__ = ["CompiledModel", "Data", "Model", "Options", "compile", "compile_targets"]


def compile(model: Model, target: str, **options: Unpack[Options]) -> CompiledModel:  # noqa: A001 - what it does
    """Compile a model for a target: quantise, export, measure, and pack a bundle.

    Args:
        model: The model.
        target: Name of a target profile, or the path of your own.
        **options: See :class:`Options`.

    Returns:
        The artifact with its report.

    Raises:
        GateError: A gate said no (budget, accuracy, unsupported operator); :func:`compile_targets` returns what was
            refused as well.
        EdgefleetError: The model, the data or an option cannot be used.
    """
    compiled = compile_targets(model, [target], **options)[target]
    if compiled.refusals:
        raise compiled.refusals[0]
    return compiled


def compile_targets(model: Model, targets: Sequence[str], **options: Unpack[Options]) -> dict[str, CompiledModel]:
    """Compile a model for several targets at once; import and calibration are done once.

    Args:
        model: The model.
        targets: Names of target profiles, or paths of your own.
        **options: See :class:`Options`.

    Returns:
        By target, in their order; look at ``accepted`` for which the gates let pass.

    Raises:
        EdgefleetError: The model, the data or an option cannot be used.
    """
    check_options(options)
    names = list(dict.fromkeys(targets))
    keeper = None if "out" in options else Place()
    out = Path(options["out"]) if keeper is None else keeper.folder
    with tempfile.TemporaryDirectory(prefix="edgefleet-") as place:
        request = make_request(model, names, options, out=out, place=Path(place))
        with told_without_files(Path(place)):
            outcomes = compile_model(request, options.get("progress", Silent()))
    return {
        name: CompiledModel(outcome.report, outcome.folder, tuple(outcome.refusals), keeper)
        for name, outcome in zip(names, outcomes, strict=True)
    }
