"""A source of any form, loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgefleet_compiler.importers.tensorflow.child.keras_model import load_keras
from edgefleet_compiler.importers.tensorflow.child.model import LoadedModel
from edgefleet_compiler.importers.tensorflow.child.saved_model import load_saved_model
from edgefleet_compiler.importers.tensorflow.messages import TensorFlowFormat, source_name


def load(folder: Path, source_format: TensorFlowFormat, given: Mapping[str, tuple[int, ...]]) -> LoadedModel:
    """Load a source that was inspected.

    Args:
        folder: Holds the source.
        source_format: What it is.
        given: Shapes of inputs that it leaves open, by name.

    Raises:
        ModelMalformed: It does not load.
        ModelCarriesCode: Loading or running it would run code, or reach for files.
        OperatorUnsupported: What it takes or holds cannot be compiled.
        UsageMalformed: An input stays open, or ``given`` does not fit.
        MemoryError: It takes too much memory.
    """
    path = folder / source_name(source_format)
    return load_saved_model(path, given) if source_format == "saved_model" else load_keras(path, given)
