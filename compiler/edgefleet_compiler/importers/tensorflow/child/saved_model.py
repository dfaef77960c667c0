"""SavedModel folders: one signature of them, as a function."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import tensorflow as tf
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types
from tensorflow.core.protobuf import saved_model_pb2

from edgefleet_compiler.importers.tensorflow.child.model import LoadedModel, Tensors, first_line, fixed_inputs
from edgefleet_compiler.importers.tensorflow.sources import SAVED_MODEL
from edgefleet_contract.errors import ModelCarriesCode, ModelMalformed

_SIGNATURE: Final = "serving_default"
_REACHING_OUT: Final = frozenset(
    {
        *("PyFunc", "PyFuncStateless", "EagerPyFunc", "XlaCallModule"),
        *("ReadFile", "WriteFile", "MatchingFiles", "WholeFileReader", "WholeFileReaderV2", "SaveSlices", "PrintV2"),
        *("TextLineReader", "TextLineReaderV2", "TFRecordReader", "TFRecordReaderV2", "FixedLengthRecordReader"),
        *("FixedLengthRecordReaderV2", "TextLineDataset", "TFRecordDataset", "FixedLengthRecordDataset"),
        *("InitializeTableFromTextFile", "InitializeTableFromTextFileV2", "Save", "Restore", "RestoreSlice"),
        *("RpcClient", "RpcCall", "DebugIdentity", "DebugIdentityV2", "SummaryWriter", "CreateSummaryFileWriter"),
    }
)
"""Operators that run Python, or read or write files. SaveV2 and RestoreV2 are in every SavedModel for its variables."""


def load_saved_model(folder: Path, given: Mapping[str, tuple[int, ...]]) -> LoadedModel:
    """Load the signature ``serving_default``, or the only one.

    Args:
        folder: The SavedModel.
        given: Shapes of inputs that it leaves open, by name.

    Raises:
        ModelMalformed: TensorFlow does not load it, or it has no such signature.
        ModelCarriesCode: Its graph holds operators that run Python, or read or write files.
        OperatorUnsupported: An input that is no tensor of numbers.
        UsageMalformed: An input stays open, or ``given`` does not fit.
        MemoryError: It takes too much memory.
    """
    _inspect(folder / SAVED_MODEL)
    loaded = _load(folder)
    name = _signature(list(loaded.signatures))
    _, declared = loaded.signatures[name].structured_input_signature
    inputs = fixed_inputs(dict(sorted(declared.items())), given)
    outputs = sorted(loaded.signatures[name].structured_outputs)

    def call(values: Tensors) -> Tensors:
        arguments = {tensor.name: value for tensor, value in zip(inputs, values, strict=True)}
        results = loaded.signatures[name](**arguments)  # the variables live as long as what was loaded
        return [results[output] for output in outputs]

    return LoadedModel(inputs, tuple(outputs), call)


def _inspect(path: Path) -> None:
    proto = saved_model_pb2.SavedModel()
    try:
        proto.ParseFromString(path.read_bytes())
    except DecodeError as cause:
        raise ModelMalformed(
            f"{SAVED_MODEL!r} does not decode as protobuf", expected="a SavedModel as TensorFlow writes it"
        ) from cause
    found: set[str] = set()
    for graph in (meta.graph_def for meta in proto.meta_graphs):
        for nodes in (graph.node, *(function.node_def for function in graph.library.function)):
            found |= {node.op for node in nodes} & _REACHING_OUT
    if found:
        raise ModelCarriesCode(
            f"The SavedModel holds operators that run code or reach for files: {', '.join(sorted(found))}",
            expected="operators that compute with numbers",
            remedy="Export the part of the model without them.",
            operators=sorted(found),
        )


def _load(folder: Path) -> Any:
    try:
        return tf.saved_model.load(str(folder))
    except tf.errors.ResourceExhaustedError as cause:
        raise MemoryError from cause
    except Exception as cause:
        raise ModelMalformed(
            f"TensorFlow {tf.__version__} does not load the SavedModel: {first_line(cause)}",
            expected="a whole SavedModel, with its folder of variables",
        ) from cause


def _signature(names: list[str]) -> str:
    if _SIGNATURE in names:
        return _SIGNATURE
    if len(names) == 1:
        return names[0]
    raise ModelMalformed(
        f"The SavedModel has the signatures {sorted(names)}",
        expected=f"one called {_SIGNATURE!r}, or only one",
        remedy="Save it with tf.saved_model.save(model, folder, signatures=...), or with Keras's model.export(folder).",
    )
