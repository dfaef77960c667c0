"""The inference child: real values in and out, and what a model that misbehaves costs."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgefleet_agent import evidence, health
from edgefleet_agent.child import model
from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.inference import InferenceChild, Limits
from edgefleet_agent.slots import Slots
from edgefleet_contract import features, sketches
from edgefleet_contract.errors import DataMalformed, HealthCheckFailed, InferenceFailed
from edgefleet_contract.manifest import Affine, TensorSpec
from support.bundles import digits_model, make_bundle, npz, run_model, sha256_of, validation_cases


def filled(root: Path, **changes: object) -> tuple[Slots, Path]:
    """Slots of which "a" holds a bundle for LiteRT."""
    slots = Slots(DataFolder(root / "data"), Disk())
    slots.fill("a", make_bundle(root, runtime="litert", **changes))
    return slots, slots.path("a")


@pytest.fixture
def child(tmp_path: Path) -> Iterator[InferenceChild]:
    with InferenceChild(filled(tmp_path)[1], Limits()) as started:
        yield started


def request(x: np.ndarray, **changes: object) -> bytes:
    entry = {"name": "image", "shape": list(x.shape), "datatype": "FP32", "data": x.ravel().tolist(), **changes}
    return json.dumps({"id": "7", "inputs": [entry]}).encode()


def test_real_values_go_in_and_come_out(child: InferenceChild) -> None:
    x, _ = validation_cases()
    answer = child.infer(request(x[:9]))
    body = json.loads(answer.body)
    assert (body["model_name"], body["model_version"], body["id"]) == ("digits", "1.0.0", "7")
    assert body["outputs"][0]["shape"] == [9, 10]
    seen = np.array(body["outputs"][0]["data"], np.float32).reshape(9, 10)
    np.testing.assert_array_equal(seen, run_model(digits_model("litert"), x[:9], "litert"))
    assert len(answer.milliseconds) == 9


def test_nested_data_and_other_datatypes_are_taken(child: InferenceChild) -> None:
    x, _ = validation_cases()
    flat = child.infer(request(x[:2])).body
    assert child.infer(request(x[:2], data=x[:2].tolist(), datatype="UINT8")).body == flat


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"shape": [1, 8, 8]}, "has shape"),
        ({"shape": [0, 8, 8, 1], "data": []}, "at least one"),
        ({"shape": [2, 8, 8, 1]}, "not a FP32 tensor of shape"),
        ({"shape": [1, 8, 8, -1, 99999999999]}, "no negative size"),
        ({"shape": [-1, 8, 8, 1]}, "no negative size"),
        ({"data": [1e300] * 64}, "not finite"),
        ({"data": [1e300] * 64, "datatype": "FP64"}, "not finite"),
        ({"data": [None] * 64}, "not finite"),
        ({"data": [2**24 + 1] * 64, "datatype": "INT32"}, "cannot represent exactly"),
        ({"data": [2**63 - 1] * 64, "datatype": "INT64"}, "cannot represent exactly"),
        ({"data": [2.5] * 64, "datatype": "INT32"}, "not all integers"),
        ({"name": "picture"}, "picture"),
        ({"datatype": "BYTES"}, "BYTES"),
        ({"data": ["many"] * 64}, "not a FP32 tensor"),
        ({"data": None}, "does not decode"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_and_the_next_one_answered(
    child: InferenceChild, changes: dict[str, object], text: str
) -> None:
    x, _ = validation_cases()
    with pytest.raises(DataMalformed, match=text):
        child.infer(request(x[:1], **changes))
    child.infer(request(x[:1]))


def test_bytes_that_are_no_json_are_refused(child: InferenceChild) -> None:
    for body in (b"", b"\xff\xfe", b"[" * 100_000):
        with pytest.raises(DataMalformed):
            child.infer(body)


def test_the_sketch_counts_what_was_inferred_and_begins_anew(child: InferenceChild) -> None:
    x, _ = validation_cases()
    child.infer(request(x[:30]))
    child.infer(request(x[30:50]))
    sketch = child.take_sketch().sketch
    assert sketch is not None
    extraction = features.plan("image", (1, 8, 8, 1), "NHWC")
    values = np.array([features.extract(extraction, image) for image in x[:50]])
    assert sketch.n == 50
    assert all(sum(counts) == 50 for counts in sketch.counts)
    steps = values - values.mean(axis=0)
    varying = steps.std(axis=0) > 0
    expected = np.median((steps[1:] * steps[:-1]).mean(axis=0)[varying] / steps.var(axis=0)[varying])
    assert sketch.rho == pytest.approx(expected, abs=0.05)
    assert child.take_sketch().sketch is None


def test_the_sketch_is_over_the_bins_of_the_reference(tmp_path: Path) -> None:
    _, slot = filled(tmp_path)
    reference = sketches.decode_reference((slot / "reference.json").read_bytes())
    x, _ = validation_cases()
    with InferenceChild(slot, Limits()) as child:
        child.infer(request(16 - x[:400]))
        sketch = child.take_sketch().sketch
    assert sketch is not None
    sketches.check_sketch(sketch, reference)
    assert sketch.reference == sha256_of(slot / "reference.json")
    assert sketches.compare(reference, sketch).worst.psi > 1  # type: ignore[union-attr]  # there are features


def test_golden_vectors_pass_on_the_runtime_that_made_them(tmp_path: Path) -> None:
    slots, slot = filled(tmp_path)
    with InferenceChild(slot, Limits()) as child:
        health.check(child, slots.manifest("a"))


def test_golden_vectors_that_do_not_come_out_fail_the_health_check(tmp_path: Path) -> None:
    slots, slot = filled(tmp_path, golden_offset=0.01)
    with InferenceChild(slot, Limits()) as child, pytest.raises(HealthCheckFailed, match=r"up to 0\.01 off"):
        health.check(child, slots.manifest("a"))


def test_vectors_give_the_outputs_of_the_runtime_and_a_score(child: InferenceChild, tmp_path: Path) -> None:
    x, y = validation_cases()
    path = tmp_path / "vectors.npz"
    path.write_bytes(npz(x=x[:100], y=y[:100]))
    rest = child.run_vectors(path, 90)
    expected = run_model(digits_model("litert"), x[:100], "litert").astype("<f4")
    assert (rest.total, rest.n, rest.outputs) == (100, 10, expected[90:].tobytes())
    outcome = evidence.run_vectors(child, "d" * 64, path)
    assert outcome.n == 100
    assert outcome.outputs_sha256 == hashlib.sha256(expected.tobytes()).hexdigest()
    assert outcome.winners == expected.argmax(axis=1).tolist()
    assert outcome.correct == (expected.argmax(axis=1) == y[:100]).tolist()
    assert rest.correct == outcome.correct[90:]


def test_vectors_without_labels_have_no_score(child: InferenceChild, tmp_path: Path) -> None:
    x, _ = validation_cases()
    (tmp_path / "vectors.npz").write_bytes(npz(image=x[:5]))
    assert evidence.run_vectors(child, "d" * 64, tmp_path / "vectors.npz").result().correct is None


def test_vectors_that_are_no_archive_are_refused(child: InferenceChild, tmp_path: Path) -> None:
    (tmp_path / "vectors.npz").write_bytes(b"PK\3\4 and no more")
    with pytest.raises(DataMalformed):
        evidence.run_vectors(child, "d" * 64, tmp_path / "vectors.npz")


def test_a_child_that_dies_fails_one_request(child: InferenceChild) -> None:
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(InferenceFailed, match="signal 9"):
        child.infer(request(validation_cases()[0][:1]))
    assert not child.is_alive


def test_a_child_that_hangs_is_ended(tmp_path: Path) -> None:
    child = InferenceChild(filled(tmp_path)[1], Limits(answer_timeout_s=0.5))
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(InferenceFailed, match=r"did not answer within 0\.5 s"):
        child.infer(request(validation_cases()[0][:1]))
    assert not child.is_alive


def test_a_child_may_not_take_more_memory_than_it_is_given(tmp_path: Path) -> None:
    slot = filled(tmp_path)[1]
    vectors = tmp_path / "vectors.npz"
    vectors.write_bytes(npz(x=np.zeros((500_000, 8, 8, 1), np.float32)))
    with InferenceChild(slot, Limits(memory_bytes=100 << 20)) as child:
        with pytest.raises((InferenceFailed, DataMalformed)):
            evidence.run_vectors(child, "d" * 64, vectors)
        child.infer(request(validation_cases()[0][:1]))


def test_a_slot_without_a_bundle_does_not_load(tmp_path: Path) -> None:
    (tmp_path / "slot").mkdir()
    with pytest.raises(InferenceFailed):
        InferenceChild(tmp_path / "slot", Limits())


def test_quantised_inputs_and_outputs_are_real_values_to_callers() -> None:
    spec = TensorSpec("image", "int8", [1, 2, 2], "", Affine(0.5, -3))
    stored = model._store(spec, np.array([[0.0, 0.74], [1.25, 1000.0]], np.float32))
    assert stored.dtype == np.int8
    assert stored.shape == (1, 2, 2)
    assert stored.ravel().tolist() == [-3, -2, -1, 127], "rounded to nearest, ties to even, and saturated"
    assert model._load(spec, stored).tolist() == [[0.0, 0.5], [1.0, 65.0]]


def test_a_tie_for_the_largest_output_agrees_with_either_place() -> None:
    assert model.same_winner(np.array([1, 5, 5]), np.array([0, 0, 9]))
    assert model.same_winner(np.array([1, 5, 4]), np.array([0, 3, 3]))
    assert not model.same_winner(np.array([1, 5, 4]), np.array([9, 3, 3]))
