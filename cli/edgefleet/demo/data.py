"""Where the demo's model and images are: in the wheel beside this file, in a checkout under ``examples/digits``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgefleet_contract.errors import DemoFailed

_FILES = ("digits.onnx", "calibration.npz", "validation.npz")


@dataclass(frozen=True)
class DigitsData:
    """The files of the digits example.

    Attributes:
        model: The float network, ``.onnx``: image (1, 8, 8, 1) float32, 0 to 16, to ten probabilities.
        calibration: ``.npz`` with ``x`` uint8 (n, 8, 8, 1) and ``y``.
        validation: The same, images that the network has not seen.
    """

    model: Path
    calibration: Path
    validation: Path


def find() -> DigitsData:
    """The files, wherever this installation has them.

    Raises:
        DemoFailed: They are nowhere.
    """
    here = Path(__file__).parent
    for folder in (here / "digits", here.parents[2] / "examples" / "digits"):
        if all((folder / name).is_file() for name in _FILES):
            return DigitsData(*(folder / name for name in _FILES))
    raise DemoFailed("The digits example is not part of this installation", remedy="Install edgefleet again.")
