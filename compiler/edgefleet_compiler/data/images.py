"""Folders of images: each picture is scaled to the input and normalised; subfolders name the classes."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.data.dataset import DataSet
from edgefleet_compiler.tensors import Sample, TensorInfo
from edgefleet_contract.errors import DataMalformed, UsageMalformed

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".webp"})


@dataclass(frozen=True)
class Normalisation:
    """What is done to raw pixels (0 to 255): (pixel - mean) / std, one value for all channels or one for each.

    Attributes:
        mean: In pixel units.
        std: In pixel units, none of them 0.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        """Refuse what cannot be divided by.

        Raises:
            UsageMalformed: A standard deviation that is not positive.
        """
        if any(value <= 0 for value in self.std):
            raise UsageMalformed(f"--std is {list(self.std)}", expected="positive numbers")

    @property
    def is_identity(self) -> bool:
        """Whether raw pixels go in as they are."""
        return set(self.mean) == {0.0} and set(self.std) == {1.0}


def open_images(
    folder: Path, inputs: Sequence[TensorInfo], *, normalisation: Normalisation, labels: Sequence[str]
) -> DataSet:
    """Open a folder of images for a model with one image input.

    Pictures directly in the folder have no label. Pictures in subfolders have their subfolder's: its place in
    ``labels``, or without these its place among the subfolders in alphabetical order.

    Args:
        folder: The folder; files that are no pictures are passed over.
        inputs: What the model takes.
        normalisation: What is done to the pixels.
        labels: Names of the classes.

    Raises:
        DataMalformed: No pictures, a model without an image input, or a subfolder that no label names.
    """
    if len(inputs) != 1 or not inputs[0].is_image:
        seen = ", ".join(f"{tensor.name!r} {tensor.shape}" for tensor in inputs)
        raise DataMalformed(
            f"The model takes {seen}, and {str(folder)!r} is a folder of images",
            expected="one input with 1 or 3 channels",
            remedy="Give the calibration set as an .npz file.",
        )
    tensor = inputs[0]
    pictures = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
    if not pictures:
        raise DataMalformed(f"The folder {str(folder)!r} holds no images", expected=f"files {sorted(_SUFFIXES)}")

    def sample(index: int) -> Sample:
        return {tensor.name: _read_picture(pictures[index], tensor, normalisation)}

    def samples() -> Iterator[Sample]:
        return map(sample, range(len(pictures)))

    classes = _classes(folder, pictures, labels)
    return DataSet(folder, _folder_hash(folder, pictures), len(pictures), classes, samples, sample)


def check_normalisation(normalisation: Normalisation, inputs: Sequence[TensorInfo]) -> None:
    """Refuse a normalisation that does not fit what the model takes.

    Raises:
        UsageMalformed: No input is an image, or there is neither one value nor one for each channel.
    """
    pictures = [tensor for tensor in inputs if tensor.is_image]
    if not pictures:
        raise UsageMalformed("--mean or --std was given, and the model takes no image", remedy="Leave them out.")
    for option, values in (("--mean", normalisation.mean), ("--std", normalisation.std)):
        for tensor in pictures:
            if len(values) not in (1, tensor.channels):
                raise UsageMalformed(f"{option} has {len(values)} values", expected=f"1 or {tensor.channels}")


def _classes(folder: Path, pictures: Sequence[Path], labels: Sequence[str]) -> NDArray[np.int64] | None:
    if any(path.parent == folder for path in pictures):
        return None
    names = [path.relative_to(folder).parts[0] for path in pictures]
    known = list(labels) or sorted(set(names))
    strangers = sorted(set(names) - set(known))
    if strangers:
        raise DataMalformed(f"The subfolders {strangers} carry no label", expected=f"names among {known}")
    return np.array([known.index(name) for name in names], np.int64)


def _read_picture(path: Path, tensor: TensorInfo, normalisation: Normalisation) -> NDArray[np.generic]:
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - only folders of images need it

    height, width = tensor.height_width
    try:
        with warnings.catch_warnings():
            # A picture that unpacks to far more pixels than its file suggests is refused, not warned of.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                converted = picture.convert("L" if tensor.channels == 1 else "RGB")
                scaled = converted.resize((width, height), Image.Resampling.BILINEAR)
    except (
        UnidentifiedImageError,
        OSError,
        ValueError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as cause:
        raise DataMalformed(f"The image {str(path)!r} cannot be read: {cause}", path=str(path)) from cause
    pixels = np.asarray(scaled, np.float32).reshape(height, width, tensor.channels)
    normalised = (pixels - np.array(normalisation.mean, np.float32)) / np.array(normalisation.std, np.float32)
    if tensor.axes == "NCHW":
        normalised = normalised.transpose(2, 0, 1)
    return np.ascontiguousarray(normalised).reshape(tensor.shape).astype(tensor.dtype)


def _folder_hash(folder: Path, pictures: Sequence[Path]) -> str:
    total = hashlib.sha256()
    for path in pictures:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{digest} {path.relative_to(folder).as_posix()}\n".encode())
    return total.hexdigest()
