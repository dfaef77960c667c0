"""Bundles of a few hundred bytes, for servers: what is in the model does not matter to them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from edgefleet_contract import canonical, sketches
from edgefleet_contract.bundle import write_bundle
from edgefleet_contract.manifest import FileEntry, Lineage, Manifest, Measured, RuntimeNeed, TensorSpec
from edgefleet_contract.sketches import FeatureReference, Reference
from support.bundles import npz

CASES = 200
REFERENCE = Reference(
    v=1,
    n=1000,
    extractions=[sketches.Extraction("x", "elements", [2])],
    features=[FeatureReference(name, [0.0, 1.0, 2.0], [250, 250, 250, 250]) for name in ("x[0]", "x[1]")],
)


def tiny_vectors(version: str) -> bytes:
    """Four labelled cases of two values, others for each version."""
    x = np.frombuffer(hashlib.sha256(version.encode()).digest(), np.uint8).reshape(-1, 2)[:4]
    return npz(x=x, y=np.arange(4))


def tiny_bundle(
    folder: Path, version: str = "1.0.0", hardware: Sequence[str] = ("x86-64",), target: str = "x86-64", *,
    name: str = "digits", labelled: bool = True, compiled: float = 0.95, model: bytes = b"",
    changed: Callable[[Manifest], Manifest] = lambda manifest: manifest,
) -> Path:  # fmt: skip
    """A bundle whose model is a few bytes: a server never opens it."""
    contents = {
        "model.onnx": model or f"model {version} {target}".encode(),
        "vectors.npz": tiny_vectors(version),
        "reference.json": canonical.encode(REFERENCE),
    }
    manifest = Manifest(
        v=1, name=name, version=version, security_floor=0, target=target, hardware=list(hardware), format="onnx",
        runtime=RuntimeNeed("onnxruntime", "1.18", []), artifact="model.onnx",
        inputs=[TensorSpec("x", "float32", [1, 2])], outputs=[TensorSpec("y", "float32", [1, 2])],
        files=[FileEntry(path, canonical.sha256(data), len(data)) for path, data in contents.items()], golden=[],
        lineage=Lineage("0" * 64, "1" * 64), vectors="vectors.npz" if labelled else None, reference="reference.json",
        baseline=Measured("top1", compiled, CASES), compiled=Measured("top1", compiled, CASES),
    )  # fmt: skip
    path = folder / f"{name}-{version}-{target}.efb"
    with path.open("wb") as file:
        write_bundle(file, changed(manifest), contents)
    return path
