"""Bad input to the compiler: exit status and message as documented, and nothing half-written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, ValueInfoProto, helper

from edgefleet_compiler.tflite.writer import write_tflite
from support.commands import Ended, Run, runner
from support.model_files import images, write_calibration, write_classifier
from support.onnx_graphs import OnnxGraph
from support.tflite_graphs import small_network


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_classifier(tmp_path / "model.onnx")


def compiled(run: Run, model: Path, *more: object) -> Ended:
    """Compile and check what every refusal has in common."""
    out = model.parent / "out"
    ended = run("model", "compile", model, "--target", "rpi4", "--out", out, "--json", *more)
    assert "Traceback" not in ended.err
    error = ended.document["error"]
    assert f"error[{error['code']}]: " in ended.err
    assert not out.exists()
    return ended


def refused(ended: Ended, status: int, code: str, *said: str) -> None:
    assert ended.status == status
    assert ended.document["error"]["code"] == code
    for words in said:
        assert words in ended.err


@pytest.mark.parametrize("name", ["model.onnx", "model.tflite", "model.bin"])
@pytest.mark.parametrize("data", [b"", b"no model at all", b"\x00" * 200, bytes(range(256)) * 8], ids=len)
def test_a_file_that_is_no_model(run: Run, tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    refused(compiled(run, path), 2, "model.malformed")


@pytest.mark.attack
@pytest.mark.parametrize("head", [b"PK\x03\x04" + bytes(26) + b"model/data.pkl", b"\x80\x02}q", b"\x80\x05\x95"])
def test_a_pickle_is_refused_unread(run: Run, tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(head + bytes(500))
    refused(compiled(run, path), 2, "model.carries_code", "PyTorch", "torch.onnx.export", str(path))


def test_a_model_that_is_not_there(run: Run, tmp_path: Path) -> None:
    refused(compiled(run, tmp_path / "none.onnx"), 2, "model.not_found", "none.onnx")


def test_a_folder_in_the_place_of_a_model(run: Run, tmp_path: Path) -> None:
    (tmp_path / "saved_model").mkdir()
    refused(compiled(run, tmp_path / "saved_model"), 2, "model.malformed", "a folder without a saved_model.pb")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_onnx_model(run: Run, model: Path, part: float) -> None:
    data = model.read_bytes()
    model.write_bytes(data[: int(len(data) * part)])
    refused(compiled(run, model), 2, "model.malformed")


@pytest.mark.parametrize("part", [0.01, 0.1, 0.5, 0.9])
def test_a_truncated_tflite_model(run: Run, tmp_path: Path, part: float) -> None:
    data = write_tflite(small_network())
    path = tmp_path / "model.tflite"
    path.write_bytes(data[: int(len(data) * part)])
    refused(compiled(run, path), 2, "model.malformed")


def test_unsupported_operators_are_named_all_at_once_with_their_nodes(run: Run, tmp_path: Path) -> None:
    graph = OnnxGraph()
    value = graph.input("x", 1, 4)
    value = graph.node("Acos", value, name="first")
    value = graph.node("Relu", value)
    value = graph.node("Det", graph.node("Reshape", value, graph.constant([1, 2, 2], np.int64)), name="second")
    path = tmp_path / "model.onnx"
    path.write_bytes(graph.proto(value).SerializeToString())
    ended = compiled(run, path)
    refused(ended, 3, "operator.unsupported", "node_first", "Acos", "node_second", "Det")


@pytest.mark.parametrize("operator", ["If", "Loop"])
def test_control_flow_is_refused_by_name(run: Run, tmp_path: Path, operator: str) -> None:
    def info(name: str, element_type: int, *shape: int) -> ValueInfoProto:
        return helper.make_tensor_value_info(name, element_type, shape)

    relu = helper.make_node("Relu", ["x"], ["inside"])
    branch = helper.make_graph([relu], "branch", [], [info("inside", TensorProto.FLOAT, 1, 4)])
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Relu", ["before"], ["after"])],
        "body",
        [info("step", TensorProto.INT64), info("go", TensorProto.BOOL), info("before", TensorProto.FLOAT, 1, 4)],
        [info("on", TensorProto.BOOL), info("after", TensorProto.FLOAT, 1, 4)],
    )
    node = (
        helper.make_node("If", ["flag"], ["y"], "choice", then_branch=branch, else_branch=branch)
        if operator == "If"
        else helper.make_node("Loop", ["", "flag", "x"], ["y"], "choice", body=body)
    )
    inputs = [info("flag", TensorProto.BOOL), info("x", TensorProto.FLOAT, 1, 4)]
    graph = helper.make_graph([node], "graph", inputs, [info("y", TensorProto.FLOAT, 1, 4)])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    refused(compiled(run, path), 3, "operator.unsupported", "'choice'", operator, "control flow")


@pytest.mark.parametrize("location", ["/etc/hostname", "../weights.bin", "sub/../../weights.bin", "none.bin"])
def test_external_data_that_is_not_beside_the_model_is_refused(run: Run, tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(bytes(16))
    graph = OnnxGraph()
    total = graph.node("Add", graph.input("x", 1, 4), graph.constant([0, 1, 2, 3]))
    proto = graph.proto(total)
    weights = proto.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=location)
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    refused(compiled(run, path), 2, "model.malformed", location)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": np.zeros((9, 8, 8, 1), np.float32)}, ["(9, 8, 8, 1)", "(n, 1, 8, 8)"]),
        ({"pictures": images(4)}, ["'pictures'", "'image' or 'x'"]),
        ({"x": images(4).astype(np.float64) + 1e-9}, ["float64", "float32"]),
        ({"x": images(4) * np.float32(np.nan)}, ["NaN", "row 0"]),
        ({"x": images(0)}, ["no rows"]),
        ({"x": np.full((4, 1, 8, 8), 1 + 1j)}, ["complex"]),
    ],
    ids=["shape", "name", "lossy", "nan", "rows", "dtype"],
)
@pytest.mark.parametrize("role", ["--calibration", "--validation"])
def test_a_data_set_that_the_model_cannot_take(
    run: Run, model: Path, role: str, arrays: dict[str, np.ndarray], said: list[str]
) -> None:
    path = model.parent / "data.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    refused(compiled(run, model, role, path), 2, "data.malformed", *said)


def test_an_unknown_target_is_answered_with_the_nearest_names(run: Run, model: Path) -> None:
    refused(compiled(run, model, "--target", "rpi44"), 2, "target.unknown", "rpi44", "rpi4")


def test_an_output_folder_that_is_a_file(run: Run, model: Path) -> None:
    out = model.parent / "file"
    out.write_text("mine")
    ended = run("model", "compile", model, "--target", "rpi4", "--out", out, "--json")
    refused(ended, 2, "output.unwritable", "is a file")
    assert out.read_text() == "mine"


def test_an_output_folder_below_a_file(run: Run, model: Path) -> None:
    (model.parent / "file").write_text("mine")
    ended = run("model", "compile", model, "--target", "rpi4", "--out", model.parent / "file" / "out", "--json")
    refused(ended, 2, "output.unwritable")


def test_int8_without_calibration_is_exit_2(run: Run, model: Path) -> None:
    refused(compiled(run, model, "--recipe", "int8"), 2, "calibration.missing", "--calibration")


def test_auto_without_calibration_is_said_plainly(run: Run, model: Path) -> None:
    ended = run("model", "compile", model, "--target", "rpi4", "--out", model.parent / "out", "--json")
    assert ended.status == 0
    assert ended.document["targets"][0]["recipe"] == "fp16"
    assert "16 bits" in ended.err
    assert any("16 bits" in warning for warning in ended.document["targets"][0]["warnings"])


def test_auto_without_calibration_is_exit_3_where_only_int8_runs(run: Run, model: Path) -> None:
    out = model.parent / "out"
    ended = run("model", "compile", model, "--target", "nrf52840", "--out", out, "--json")
    refused(ended, 3, "recipe.unfit", "nrf52840", "--calibration")
    assert sorted(path.name for path in (out / "nrf52840").iterdir()) == ["report.html", "report.json"]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--version", "1"], "usage"),
        (["--name", "No Spaces"], "usage"),
        (["--recipe", "int16x8"], "calibration.missing"),
        (["--recipe", "smallest"], "recipe.malformed"),
        (["--max-drop", "0.1"], "usage"),
        (["--max-drop", "-1"], "usage"),
        (["--metric", "top1"], "usage"),
        (["--seed", "99999999999999999999"], "usage"),
        (["--max-drop", "inf"], "usage"),
        (["--max-latency", "20ms"], "usage"),
        (["--labels", "none.txt"], "data.malformed"),
        (["--input-shape", "nothing=1,2"], "usage"),
    ],
)
def test_options_that_cannot_be_meant(run: Run, model: Path, options: list[str], code: str) -> None:
    refused(compiled(run, model, *options), 2, code)


def test_labels_that_the_model_does_not_have(run: Run, model: Path) -> None:
    path = model.parent / "v.npz"
    np.savez(path, x=images(4), y=np.array([0, 1, 2, 4]))
    calibration = write_calibration(model.parent / "c.npz")
    ended = compiled(run, model, "--validation", path, "--calibration", calibration)
    refused(ended, 2, "data.malformed", "case 3", "is 4")


def test_a_metric_that_fails_leaves_nothing_behind(run: Run, model: Path) -> None:
    data = ("--validation", write_calibration(model.parent / "v.npz"))
    refused(compiled(run, model, *data, "--metric", "os:system"), 2, "usage", "'os:system' raises TypeError")


def test_a_data_set_that_is_not_there(run: Run, model: Path) -> None:
    refused(compiled(run, model, "--calibration", "none.npz"), 2, "data.not_found", "none.npz")


def test_of_two_files_the_one_that_is_at_fault_is_named(run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.onnx").write_bytes(b"no model at all")
    data = write_calibration(tmp_path / "c.npz")
    for first, second in ((model, tmp_path / "letter.onnx"), (tmp_path / "letter.onnx", model)):
        ended = run("model", "compare", first, second, "--data", data, "--json")
        refused(ended, 2, "model.malformed", "letter.onnx")
        assert ended.document["error"]["remedy"]


def test_labels_that_cannot_be_read_are_told_without_the_machines_words(run: Run, model: Path) -> None:
    ended = compiled(run, model, "--labels", "/nope")
    refused(ended, 2, "data.malformed", "'/nope' cannot be read: No such file or directory.")
    assert "Errno" not in ended.err


@pytest.mark.parametrize("data", [b"", b"no bundle", bytes(4096)], ids=len)
@pytest.mark.parametrize("verb", ["show", "verify", "unpack"])
def test_a_file_that_is_no_bundle(run: Run, tmp_path: Path, data: bytes, verb: str) -> None:
    path = tmp_path / "b.efb"
    path.write_bytes(data)
    ended = run("bundle", verb, path, "--json")
    refused(ended, 2, "bundle.malformed")
    assert [entry.name for entry in tmp_path.iterdir()] == ["b.efb"]
