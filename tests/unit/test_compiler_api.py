"""The Python interface does what the command does, on files and on what is in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import edgefleet_compiler
from edgefleet_contract.bundle import Bundle
from edgefleet_contract.errors import BudgetExceeded, DataMalformed, EdgefleetError, UsageMalformed

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
CALIBRATION = DIGITS / "calibration.npz"


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    with np.load(DIGITS / "validation.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def compiled(arrays: dict[str, np.ndarray]) -> edgefleet_compiler.CompiledModel:
    with np.load(CALIBRATION) as file:
        calibration = file["x"]
    return edgefleet_compiler.compile(
        onnx.load(DIGITS / "digits.onnx"), "rpi4", name="digits", calibration=calibration, validation=arrays
    )


def test_arrays_and_a_model_in_memory_give_what_their_files_give(
    compiled: edgefleet_compiler.CompiledModel,
) -> None:
    by_file = edgefleet_compiler.compile(
        DIGITS / "digits.onnx", "rpi4", calibration=str(CALIBRATION), validation=DIGITS / "validation.npz"
    )
    assert compiled.data == by_file.data
    assert compiled.report.accuracy == by_file.report.accuracy
    assert compiled.report.recipe == "int8"


def test_an_artifact_runs_on_real_values(
    compiled: edgefleet_compiler.CompiledModel, arrays: dict[str, np.ndarray]
) -> None:
    (tensor,) = compiled.open().inputs
    images = arrays["x"].astype(np.float32).reshape(-1, *tensor.shape)[:50]
    choices = [int(np.argmax(*compiled.run({tensor.name: image}).values())) for image in images]
    assert np.mean(choices == arrays["y"][:50]) > 0.9


def test_the_bundle_and_the_reports_can_be_saved(compiled: edgefleet_compiler.CompiledModel, tmp_path: Path) -> None:
    folder = compiled.save(tmp_path / "deep" / "rpi4")
    report = json.loads((folder / "report.json").read_bytes())
    assert report["verdict"] == "accepted"
    assert compiled.bundle is not None
    with Bundle(folder / compiled.bundle.name) as bundle:
        assert bundle.manifest.name == "digits"
    assert report["artifact"]["path"] == str(folder / "model.tflite")
    assert (folder / "model.tflite").read_bytes() == compiled.data


def test_a_notebook_shows_the_report_in_a_frame_of_its_own(compiled: edgefleet_compiler.CompiledModel) -> None:
    shown = compiled._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert "&lt;title&gt;" in shown
    assert "<title>" not in shown


def test_the_files_of_a_result_without_a_folder_are_gone_with_it() -> None:
    result = edgefleet_compiler.compile(DIGITS / "digits.onnx", "x86-64", recipe="float")
    folder = result.folder
    assert folder.is_dir()
    del result
    assert not folder.exists()


def test_several_targets_are_compiled_at_once_and_a_refusal_is_a_result(tmp_path: Path) -> None:
    results = edgefleet_compiler.compile_targets(
        str(DIGITS / "digits.onnx"), ["rpi4", "x86-64"], recipe="float", max_flash="1 KiB", out=tmp_path
    )
    assert list(results) == ["rpi4", "x86-64"]
    for target, result in results.items():
        assert not result.accepted
        assert isinstance(result.refusals[0], BudgetExceeded)
        assert result.bundle is None
        assert result.artifact is not None
        assert result.folder == tmp_path / target


def test_a_gate_that_says_no_is_raised() -> None:
    with pytest.raises(BudgetExceeded):
        edgefleet_compiler.compile(DIGITS / "digits.onnx", "rpi4", recipe="float", max_flash=1024)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"calibratoin": CALIBRATION}, UsageMalformed, "calibratoin"),
        ({"max_flash": "much"}, UsageMalformed, "much"),
        ({"mean": 3.0, "calibration": CALIBRATION}, UsageMalformed, "no folder of images"),
        ({"calibration": {"x": np.array([{}, {}])}}, DataMalformed, "Python objects"),
        ({"calibration": {"wrong": np.zeros(3)}}, DataMalformed, "wrong"),
        ({"recipe": "int8"}, EdgefleetError, "calibration"),
    ],
)
def test_what_cannot_be_used_is_one_clear_error(
    options: dict[str, Any], error: type[EdgefleetError], words: str
) -> None:
    with pytest.raises(error) as caught:
        edgefleet_compiler.compile(DIGITS / "digits.onnx", "rpi4", **options)
    assert words in caught.value.text()


@pytest.mark.parametrize("ir_version", [10, onnx.IR_VERSION])
def test_a_model_in_memory_may_leave_its_batch_at_nothing_and_be_as_new_as_onnx_writes_it(ir_version: int) -> None:
    relu = onnx.helper.make_node("Relu", ["x"], ["y"])
    (source, result) = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [0, 4]) for name in "xy")
    graph = onnx.helper.make_graph([relu], "net", [source], [result])
    opset = onnx.helper.make_opsetid("", 17)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=ir_version)
    compiled = edgefleet_compiler.compile(model, "x86-64", recipe="float")
    assert compiled.run({"x": np.array([[-1, 2, -3, 4]], np.float32)})["y"].tolist() == [[0, 2, 0, 4]]


@pytest.mark.parametrize("argument", ["calibration", "validation"])
def test_errors_about_arrays_name_the_argument_and_no_file(argument: str, tmp_path: Path) -> None:
    broken = {argument: np.full((3, 8, 8, 1), np.nan, np.float32)}
    recipe = "int8" if argument == "calibration" else "float"
    with pytest.raises(DataMalformed, match=rf"^{argument}: The array 'x' holds NaN") as caught:
        edgefleet_compiler.compile(DIGITS / "digits.onnx", "rpi4", recipe=recipe, **broken)  # type: ignore[arg-type]
    assert "npz" not in json.dumps(caught.value.as_json())


def test_errors_about_a_model_in_memory_name_no_file() -> None:
    relu = onnx.helper.make_node("Relu", ["x"], ["y"])
    (source, result) = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in "xy")
    model = onnx.helper.make_model(onnx.helper.make_graph([relu], "net", [source], [result]))
    with pytest.raises(EdgefleetError) as caught:
        edgefleet_compiler.compile(model, "rpi4", recipe="float")
    assert ".onnx" not in json.dumps(caught.value.as_json())


def test_a_model_of_another_kind_is_named() -> None:
    with pytest.raises(UsageMalformed, match=r"builtins\.dict"):
        edgefleet_compiler.compile({}, "rpi4")  # type: ignore[arg-type]


def test_inputs_of_other_shapes_are_refused(compiled: edgefleet_compiler.CompiledModel) -> None:
    with pytest.raises(UsageMalformed, match="shapes"):
        compiled.run({"image": np.zeros((1, 2))})
