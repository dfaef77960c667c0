"""The peer: ai-edge-quantizer, static int8 activations and weights of 8 or 4 bits, from the float TFLite file.

Run as a process of its own: ``python -m benchmarks.peer_ai_edge_quantizer FLOAT.tflite CALIBRATION.npz OUT.tflite
RANGES [BITS]``; RANGES is ``default``, a moving average that clips, or ``min-max``, which its public interface does not
reach.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ai_edge_quantizer import quantizer, recipe
from ai_edge_quantizer.calibrator import Calibrator
from ai_edge_quantizer.utils import qsv_utils, tfl_interpreter_utils

from benchmarks.published import SIGNATURE


def main(model: Path, calibration: Path, destination: Path, *, ranges: str, bits: int) -> None:
    """Quantise ``model``."""
    (name,) = tfl_interpreter_utils.get_input_tensor_names(str(model), SIGNATURE)
    data = {SIGNATURE: list(_cases(calibration, name))}  # it counts them before it reads them
    asked = recipe.static_wi8_ai8()
    for entry in asked:
        entry["op_config"]["weight_tensor_config"]["num_bits"] = bits
    peer = quantizer.Quantizer(str(model), asked)
    if ranges == "default":
        found = peer.calibrate(data)
    else:
        calibrator = Calibrator(str(model), qsv_update_func=qsv_utils.min_max_update)
        calibrator.calibrate(data, peer._recipe_manager)  # noqa: SLF001 - see above
        found = calibrator.get_model_qsvs()
    peer.quantize(found, enable_progress_report=False).export_model(str(destination), overwrite=True)


def _cases(calibration: Path, name: str) -> Iterator[dict[str, np.ndarray]]:
    for case in np.load(calibration)["x"]:
        yield {name: case[None].astype(np.float32)}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), ranges=sys.argv[4], bits=int([*sys.argv, "8"][5]))
