"""An artifact that its runtime does not execute is the exporter's fault, and is told as such."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from edgefleet_compiler.artifact import Artifact, Workbench
from edgefleet_compiler.checks.measure import Examiner
from edgefleet_compiler.data import choose_evaluation
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.progress import Silent
from edgefleet_compiler.recipe import Recipe
from edgefleet_compiler.source import load_source
from edgefleet_contract.errors import ParityLost
from support.model_files import write_classifier

Format = Literal["onnx", "tflite"]


def examined(folder: Path, model_format: Format) -> tuple[Examiner, Artifact]:
    """A sound source with its examiner, and an artifact of it whose file is broken."""
    model = write_classifier(folder / "model.onnx")
    source = load_source(model, input_shapes={})
    options = CompileOptions(model, ("x86-64",), folder / "out")
    examiner = Examiner(source, choose_evaluation(None, None, source.inputs, seed=0), options, Silent())
    recipe = Recipe(scheme="float", format=model_format, io="float", io_layout="source", seed=0)
    artifact = Workbench(source, None, Silent()).build(recipe, max_opset=21 if model_format == "onnx" else None)
    broken = artifact.data[: len(artifact.data) // 2]
    return examiner, replace(artifact, exported=replace(artifact.exported, data=broken))


@pytest.mark.parametrize("model_format", ["onnx", "tflite"])
def test_an_artifact_that_does_not_load_is_a_defect_of_ours_and_not_of_the_source(
    tmp_path: Path, model_format: Format
) -> None:
    examiner, artifact = examined(tmp_path, model_format)
    for examine in (examiner.check_export, examiner.measure, examiner.open):
        with pytest.raises(
            ParityLost, match=rf"artifact model\.{model_format} of the recipe 'float' does not run"
        ) as seen:
            examine(artifact, "plain")
        assert "a defect of edgefleet" in seen.value.text()
        assert seen.value.exit_status == 3
