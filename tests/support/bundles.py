"""Real bundles without the compiler: the digits network of the examples, packed as it is, or damaged.

``digits-int8.tflite`` beside this file is what ``edgefleet model compile`` made of it for ``rpi4`` with the recipe
int8. onnx and onnxruntime are imported where they are needed: where the agent alone is installed, they are not there.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgefleet_contract import canonical, features, sketches, trust
from edgefleet_contract.bundle import Bundle, transfer_digest, write_bundle
from edgefleet_contract.manifest import (
    FileEntry,
    GoldenVectors,
    Lineage,
    Manifest,
    Measured,
    RuntimeNeed,
    SamplingPolicy,
    TensorSpec,
)
from edgefleet_contract.sketches import FeatureReference, Reference

Array = NDArray[np.generic]

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
GOLDEN_CASES = 8
RuntimeName = Literal["litert", "onnxruntime"]
ISSUED = 1_700_000_000_000  # UTC milliseconds


def digits_model(runtime: RuntimeName = "onnxruntime") -> bytes:
    """The float network of the example, or its int8 form for LiteRT."""
    if runtime == "litert":
        return Path(__file__).with_name("digits-int8.tflite").read_bytes()
    return (DIGITS / "digits.onnx").read_bytes()


def worse_model() -> bytes:
    """The digits network with its classes rotated by one: it runs, agrees with itself and is wrong nearly always."""
    import onnx

    graph = onnx.load_model_from_string(digits_model())
    softmax = next(node for node in graph.graph.node if node.op_type == "Softmax")
    last = next(node for node in graph.graph.node if softmax.input[0] in node.output)
    for tensor in graph.graph.initializer:
        if tensor.name in last.input and 10 in tensor.dims:
            values = onnx.numpy_helper.to_array(tensor)
            rolled = np.roll(values, 1, axis=values.shape.index(10))
            tensor.CopyFrom(onnx.numpy_helper.from_array(rolled, tensor.name))
    return graph.SerializeToString()


def validation_cases() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Images (n, 8, 8, 1), 0 to 16, and their labels."""
    with np.load(DIGITS / "validation.npz") as data:
        return data["x"].astype(np.float32), data["y"].astype(np.int64)


def vectors_file(path: Path, count: int = 100) -> Path:
    """Labelled rollout vectors: the first ``count`` cases of the validation set."""
    x, y = validation_cases()
    path.write_bytes(npz(x=x[:count], y=y[:count]))
    return path


def make_bundle(
    folder: Path,
    *,
    name: str = "digits",
    version: str = "1.0.0",
    target: str = "x86-64",
    hardware: Sequence[str] | None = None,
    model: bytes | None = None,
    security_floor: int = 0,
    golden_offset: float = 0.0,
    cut_artifact: int | None = None,
    padding: int = 0,
    sampling: SamplingPolicy | None = None,
    runtime: RuntimeName = "onnxruntime",
    min_version: str = "1",
) -> Path:
    """Pack the digits network into a bundle.

    Args:
        folder: Where the file goes, as ``NAME-VERSION-TARGET.efb``.
        name: Of the model.
        version: Of the model.
        target: Target profile.
        hardware: Hardware names; the target's own by default.
        model: Another artifact with the same inputs and outputs.
        security_floor: As the publisher sets it.
        golden_offset: Added to the expected outputs, so that the health check fails.
        cut_artifact: Bytes of the artifact that are packed, for one that does not load.
        padding: Bytes of noise to add, so that the file has several blocks.
        sampling: Policy; none is kept by default.
        runtime: Which of the two artifacts, and who runs it.
        min_version: The oldest runtime that will do.
    """
    model = model or digits_model(runtime)
    artifact = "model.tflite" if runtime == "litert" else "model.onnx"
    x, y = validation_cases()
    outputs = run_model(model, x[:100], runtime)
    golden = npz(**{"in/image": x[:GOLDEN_CASES], "out/probabilities": outputs[:GOLDEN_CASES] + golden_offset})
    contents = {
        artifact: model[:cut_artifact],
        "golden/artifact.npz": golden,
        "golden/baseline.npz": golden,
        "vectors.npz": npz(x=x[:100], y=y[:100]),
        "reference.json": canonical.encode(reference_of(x)),
    }
    if padding:
        contents["padding.bin"] = np.random.default_rng(padding).bytes(padding)
    correct = Measured("top1", float((outputs.argmax(1) == y[:100]).mean()), 100)
    manifest = Manifest(
        v=1,
        name=name,
        version=version,
        security_floor=security_floor,
        target=target,
        hardware=list(hardware or [target]),
        format="tflite" if runtime == "litert" else "onnx",
        runtime=RuntimeNeed(runtime, min_version, ["Conv", "Gemm"]),
        artifact=artifact,
        inputs=[TensorSpec("image", "float32", [1, 8, 8, 1], "NHWC")],
        outputs=[TensorSpec("probabilities", "float32", [1, 10])],
        files=[FileEntry(path, canonical.sha256(data), len(data)) for path, data in sorted(contents.items())],
        golden=[
            GoldenVectors("artifact", "golden/artifact.npz", GOLDEN_CASES, 1e-4, 1.0),
            GoldenVectors("baseline", "golden/baseline.npz", GOLDEN_CASES, 1e-4, 1.0),
        ],
        lineage=Lineage(canonical.sha256(model), "0" * 64),
        labels=[str(digit) for digit in range(10)],
        vectors="vectors.npz",
        reference="reference.json",
        baseline=correct,
        compiled=correct,
        sampling=sampling or SamplingPolicy(),
    )
    path = folder / f"{name}-{version}-{target}.efb"
    with path.open("wb") as file:
        write_bundle(file, manifest, contents)
    return path


@dataclass(frozen=True)
class ReleaseOf:
    """What a publisher says of bundles of one version."""

    release: trust.Release
    bundles: list[trust.ReleasedBundle]


def release_of(bundle_files: Sequence[Path], *, issued: int = ISSUED) -> ReleaseOf:
    """What a publisher says of bundles of one version."""
    released = []
    for path in bundle_files:
        with Bundle(path) as bundle:
            manifest, digest = bundle.manifest, bundle.digest
        sha256, size = transfer_digest(path)
        released.append(trust.ReleasedBundle(manifest.target, manifest.hardware, digest, sha256, size))
    return ReleaseOf(trust.Release(manifest.name, manifest.version, issued, manifest.security_floor), released)


def run_model(model: bytes, images: NDArray[np.float32], runtime: RuntimeName = "onnxruntime") -> NDArray[np.float32]:
    """The network's outputs, case by case."""
    if runtime == "litert":
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_content=model, num_threads=1)
        interpreter.allocate_tensors()
        (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()

        def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
            interpreter.set_tensor(taken["index"], image[np.newaxis])
            interpreter.invoke()
            return interpreter.get_tensor(given["index"])
    else:
        import onnxruntime

        onnxruntime.disable_telemetry_events()
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])

        def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
            return session.run(None, {"image": image[np.newaxis]})[0]

    return np.concatenate([run(image) for image in images]).astype(np.float32)


def reference_of(images: NDArray[np.float32]) -> Reference:
    """The reference sketch of images: five bins a pixel, where a pixel has so many values."""
    extraction = features.plan("image", (1, 8, 8, 1), "NHWC")
    rows = np.array([features.extract(extraction, image) for image in images])
    described = []
    for label, column in zip(features.names(extraction), rows.T, strict=True):
        edges = [float(edge) for edge in np.unique(np.quantile(column, (0.2, 0.4, 0.6, 0.8)))]
        feature = FeatureReference(label, edges, [0] * (len(edges) + 1))
        counts = np.bincount([sketches.bin_of(feature, value) for value in column], minlength=len(edges) + 1)
        described.append(FeatureReference(label, edges, [int(count) for count in counts]))
    return Reference(1, len(images), [extraction], described)


def npz(**arrays: Array) -> bytes:
    """Arrays as the bytes of an ``.npz``."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
