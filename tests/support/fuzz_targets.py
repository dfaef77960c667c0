"""What is fuzzed: the readers of files that strangers may hand us, each with seeds and a mutator of its format."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgefleet_compiler.importers import ModelFile, import_model
from edgefleet_compiler.tflite.reader import read_tflite
from edgefleet_compiler.tflite.writer import write_tflite
from edgefleet_contract.bundle import Bundle
from edgefleet_contract.errors import EdgefleetError
from support.bundles import digits_model
from support.contract_samples import bundle_bytes
from support.fuzz_mutators import Mutate, mutate_bundle, mutate_onnx, mutate_tflite
from support.model_files import classifier
from support.onnx_graphs import OnnxGraph
from support.tflite_graphs import small_int8_network, small_network

for _module in ("onnx", "onnx_external", "tflite", "tflite_quantised"):
    # Commands load these when they need them; here they are loaded now, while atheris looks.
    importlib.import_module(f"edgefleet_compiler.importers.{_module}")

DOCUMENTED = (2, 3, 4)
"""The exit statuses of a file's own faults; 1 would be ours, and 5 that of a peer."""


@dataclass(frozen=True)
class Target:
    """A reader to fuzz.

    Attributes:
        read: Reads a file's bytes; whatever else than an ``EdgefleetError`` it raises is a finding.
        seeds: Files to start from, by name.
        mutate: Makes another file of one, by a seed and libFuzzer's own mutator, no longer than a given size.
    """

    read: Callable[[bytes], None]
    seeds: Callable[[], Mapping[str, bytes]]
    mutate: Callable[[bytes, int, int, Mutate], bytes]

    def run(self, data: bytes) -> None:
        """Read one input."""
        try:
            self.read(data)
        except EdgefleetError as error:
            if error.exit_status not in DOCUMENTED:
                raise


def read_tflite_file(data: bytes) -> None:
    """As ``model compile`` reads a ``.tflite`` file: the graph, then the raw hub."""
    read_tflite(data)
    import_model(ModelFile(Path("model.tflite"), "tflite", data, len(data), data, "tflite"), input_shapes={})


def read_onnx_file(data: bytes) -> None:
    """As ``model compile`` reads an ``.onnx`` file."""
    import_model(ModelFile(_FOLDER / "model.onnx", "onnx", data, len(data), data, "onnx"), input_shapes={})


def read_bundle_file(data: bytes) -> None:
    """As an agent reads a bundle that it was sent: all of it."""
    path = _FOLDER / "bundle.efb"
    path.write_bytes(data)
    with Bundle(path) as bundle:
        bundle.verify()


_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-input-"))


def _tflite_seeds() -> Mapping[str, bytes]:
    return {
        "float": write_tflite(small_network()),
        "int8": write_tflite(small_int8_network()),
        "digits": digits_model("litert"),
    }


def _onnx_seeds() -> Mapping[str, bytes]:
    graph = OnnxGraph()
    value = graph.input("x", 1, 4, 6)
    value = graph.node("Concat", value, graph.node("Sigmoid", value), axis=1)
    value = graph.node("ReduceMean", value, graph.constant([2], np.int64), keepdims=1)
    value = graph.node("Slice", value, *(graph.constant([number], np.int64) for number in (1, 7, 1)))
    value = graph.node("Pad", value, graph.constant([0, 1, 0, 0, 1, 0], np.int64), graph.constant(0.5))
    value = graph.clip(graph.node("Transpose", value, perm=[0, 2, 1]), -1.0, 1.0)
    return {
        "classifier": classifier().proto("probabilities").SerializeToString(),
        "shapes": graph.proto(value).SerializeToString(),
        "digits": digits_model(),
    }


TARGETS: Mapping[str, Target] = {
    "tflite": Target(read_tflite_file, _tflite_seeds, mutate_tflite),
    "onnx": Target(read_onnx_file, _onnx_seeds, mutate_onnx),
    "bundle": Target(read_bundle_file, lambda: {"digits": bundle_bytes()}, mutate_bundle),
}
