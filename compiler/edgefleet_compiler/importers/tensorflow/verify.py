"""A converted model is believed only once LiteRT has computed with it what TensorFlow computed with the source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.checks.exactness import require_equal
from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.data.npy import list_arrays
from edgefleet_compiler.importers.tensorflow.messages import REFERENCE, Converted
from edgefleet_compiler.tensors import Sample
from edgefleet_contract.errors import ModelMalformed


def verify(converted: bytes, folder: Path, names: Converted) -> None:
    """Compare a converted model with its source on the cases that the child wrote.

    Args:
        converted: The ``.tflite`` file.
        folder: Holds the cases.
        names: Of inputs and outputs, in order.

    Raises:
        ModelMalformed: LiteRT does not load it, or takes other inputs than the source; or the source computes what is
            no number in every case.
        ParityLost: It computes something else.
    """
    runner = open_runner(converted, "tflite")
    if [tensor.name for tensor in runner.inputs] != names.inputs:
        raise ModelMalformed(
            f"The converter left the inputs {[tensor.name for tensor in runner.inputs]}",
            expected=f"{names.inputs}, as in the source",
            remedy="An input that the outputs do not depend on must be taken out of the model.",
        )
    if [tensor.name for tensor in runner.outputs] != names.outputs:
        raise ModelMalformed(
            f"The converter left the outputs {[tensor.name for tensor in runner.outputs]}",
            expected=f"{names.outputs}, as in the source",
        )
    arrays = {name: array.read() for name, array in list_arrays(folder / REFERENCE).items()}
    inputs = [arrays[f"input/{index}"] for index in range(len(names.inputs))]
    outputs = [arrays[f"output/{index}"] for index in range(len(names.outputs))]
    finite = [case for case in range(len(outputs[0])) if all(np.isfinite(output[case]).all() for output in outputs)]
    if not finite:
        raise ModelMalformed(
            "The model computes NaN or infinity, whatever it is given",
            expected="finite numbers",
            remedy="Check its weights.",
        )

    def reference(sample: Sample) -> Sequence[NDArray[np.generic]]:
        case = int(sample["case"])
        return [output[case] for output in outputs]

    def seen(sample: Sample) -> Sequence[NDArray[np.generic]]:
        case = int(sample["case"])
        return runner.run([value[case] for value in inputs])

    cases = [{"case": np.asarray(case)} for case in finite]
    require_equal(reference, seen, cases, what="the converted model and of the source in TensorFlow")
