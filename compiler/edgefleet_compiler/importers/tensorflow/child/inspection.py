"""What a source is refused for before anything of it is loaded."""

from __future__ import annotations

from pathlib import Path

from edgefleet_compiler.importers.tensorflow.child.archive import rewrite_archive
from edgefleet_compiler.importers.tensorflow.child.hdf5 import rewrite_model
from edgefleet_compiler.importers.tensorflow.messages import TensorFlowFormat, source_name


def inspect(folder: Path, source_format: TensorFlowFormat) -> None:
    """Inspect a source, and leave of it only what was inspected.

    A SavedModel is a graph of TensorFlow's own; ``saved_model`` inspects it once TensorFlow can read it.

    Raises:
        ModelMalformed: It is damaged, larger than it may be, or reaches beyond its own file.
        ModelCarriesCode: Loading it would run code.
        OperatorUnsupported: Custom layers.
    """
    path = folder / source_name(source_format)
    if source_format == "keras":
        rewrite_archive(path)
    elif source_format == "h5":
        rewrite_model(path)
