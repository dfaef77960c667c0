"""Calibration and validation sets: ``.npz`` files and folders of images, read one case at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgefleet_compiler.data.dataset import DataSet
from edgefleet_compiler.data.evaluation import Evaluation, choose_evaluation
from edgefleet_compiler.data.images import Normalisation, open_images
from edgefleet_compiler.data.npz import open_npz
from edgefleet_compiler.naming import naming
from edgefleet_compiler.tensors import TensorInfo
from edgefleet_contract.errors import DataNotFound

__all__ = ["DataSet", "Evaluation", "Normalisation", "choose_evaluation", "open_data_set"]


def open_data_set(
    path: Path, inputs: Sequence[TensorInfo], *, normalisation: Normalisation, labels: Sequence[str]
) -> DataSet:
    """Open a data set for a model; nothing but headers is read until its cases are asked for.

    Args:
        path: An ``.npz`` file, or a folder of images.
        inputs: What the model takes.
        normalisation: What is done to the pixels of images; arrays are taken as they are.
        labels: Names of the classes, which the subfolders of a folder of images may carry.

    Raises:
        DataNotFound: There is nothing at ``path``.
        DataMalformed: It cannot be read, or the model cannot take it.
    """
    if not path.exists():
        raise DataNotFound(
            f"There is no data set at {str(path)!r}", expected="an .npz file or a folder of images", path=str(path)
        )
    with naming(path):
        if path.is_dir():
            return open_images(path, inputs, normalisation=normalisation, labels=labels)
        return open_npz(path, inputs)
