"""onnxruntime in the inference child: without its telemetry, without saturation, within its memory."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgefleet_agent import health
from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.inference import InferenceChild, Limits
from edgefleet_agent.runtimes import onnxruntime as runtime
from edgefleet_agent.slots import Slots
from edgefleet_contract.errors import InferenceFailed
from support.bundles import digits_model, make_bundle, run_model, validation_cases


def slot_with(root: Path, **changes: object) -> tuple[Slots, Path]:
    slots = Slots(DataFolder(root / "data"), Disk())
    slots.fill("a", make_bundle(root, **changes))
    return slots, slots.path("a")


def request(x: np.ndarray) -> bytes:
    entry = {"name": "image", "shape": list(x.shape), "datatype": "FP32", "data": x.ravel().tolist()}
    return json.dumps({"inputs": [entry]}).encode()


def memory_bomb() -> bytes:
    """A model of some hundred bytes that fills a gigabyte when it is loaded or run."""
    graph = helper.make_graph(
        [
            helper.make_node("ConstantOfShape", ["size"], ["many"]),
            helper.make_node("ReduceSum", ["many"], ["sum"], keepdims=0),
            helper.make_node("ReduceMean", ["image"], ["mean"], keepdims=0),
            helper.make_node("Add", ["sum", "mean"], ["total"]),
            helper.make_node("Expand", ["total", "shape"], ["probabilities"]),
        ],
        "bomb",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 8, 8, 1])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, 10])],
        [
            helper.make_tensor("size", TensorProto.INT64, [1], [1 << 28]),
            helper.make_tensor("shape", TensorProto.INT64, [2], [1, 10]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def test_a_bundle_for_onnxruntime_is_healthy_and_computes_its_model(tmp_path: Path) -> None:
    slots, slot = slot_with(tmp_path)
    x, _ = validation_cases()
    with InferenceChild(slot, Limits()) as child:
        health.check(child, slots.manifest("a"))
        outputs = json.loads(child.infer(request(x[:5])).body)["outputs"][0]
    seen = np.array(outputs["data"], np.float32).reshape(5, 10)
    np.testing.assert_allclose(seen, run_model(digits_model(), x[:5]), atol=1e-6)


def test_a_model_that_is_none_does_not_load(tmp_path: Path) -> None:
    _, slot = slot_with(tmp_path, cut_artifact=1000)
    with pytest.raises(InferenceFailed, match="onnxruntime does not load the artifact"):
        InferenceChild(slot, Limits())


@pytest.mark.attack
def test_a_small_model_that_wants_a_gigabyte_gets_none(tmp_path: Path) -> None:
    bomb = memory_bomb()
    assert len(bomb) < 500
    _, slot = slot_with(tmp_path)
    (slot / "model.onnx").write_bytes(bomb)
    x, _ = validation_cases()
    with pytest.raises(InferenceFailed), InferenceChild(slot, Limits(memory_bytes=512 << 20)) as child:
        child.infer(request(x[:1]))


def test_another_model_than_the_manifest_describes_does_not_load(tmp_path: Path) -> None:
    _, slot = slot_with(tmp_path)
    graph = onnx.load_model_from_string(digits_model())
    graph.graph.output.append(helper.make_tensor_value_info(graph.graph.node[-2].output[0], TensorProto.FLOAT, [1, 10]))
    (slot / "model.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(InferenceFailed, match="those of its manifest"):
        InferenceChild(slot, Limits())


@pytest.mark.parametrize(
    ("flags", "saturates"),
    [
        ("flags\t\t: fpu sse2 avx2", True),
        ("flags\t\t: fpu sse2 avx2 avx512_vnni", False),
        ("flags\t\t: fpu sse2 avx_vnni", False),
        ("Features\t: fp asimd", False),
        ("", False),
    ],
)
def test_saturation_is_known_by_the_processors_flags(tmp_path: Path, flags: str, saturates: bool) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor : 0\n{flags}\n")
    assert runtime._saturates_u8s8(tmp_path / "cpuinfo") is saturates


def test_the_runtimes_telemetry_leaves_nothing_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)  # a runtime of this very process may have set it
    _, slot = slot_with(tmp_path)
    with InferenceChild(slot, Limits()) as child:
        child.infer(request(validation_cases()[0][:1]))
        environment = Path(f"/proc/{child.pid}/environ").read_bytes().split(b"\0")
        assert b"ORT_DISABLE_TELEMETRY=1" in environment
    assert list(home.rglob("*")) == []
    assert "ORT_DISABLE_TELEMETRY" not in os.environ
