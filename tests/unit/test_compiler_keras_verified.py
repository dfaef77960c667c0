"""What TensorFlow's converter made is believed only once it computes what the source computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgefleet_compiler.importers.tensorflow.messages import REFERENCE, Converted
from edgefleet_compiler.importers.tensorflow.verify import verify
from edgefleet_compiler.tflite.writer import write_tflite
from edgefleet_contract.errors import ModelMalformed, ParityLost
from support.tflite_graphs import TfliteGraph, run_litert

CASES = np.random.default_rng(1).normal(size=(3, 1, 6)).astype(np.float32)
NAMES = Converted(inputs=["input"], outputs=["tanh"])


@pytest.fixture
def converted() -> bytes:
    builder = TfliteGraph()
    return write_tflite(builder.graph(builder.add("TANH", [builder.input((1, 6))], (1, 6))))


def write_reference(folder: Path, outputs: NDArray[np.float32]) -> None:
    np.savez(folder / REFERENCE, **{"input/0": CASES, "output/0": outputs})  # type: ignore[arg-type]


def right(converted: bytes) -> NDArray[np.float32]:
    return np.stack([run_litert(converted, [case])[0] for case in CASES])


def test_a_model_that_computes_the_same_is_believed(converted: bytes, tmp_path: Path) -> None:
    write_reference(tmp_path, right(converted))
    verify(converted, tmp_path, NAMES)


def test_a_model_that_computes_something_else_in_one_case_is_not(converted: bytes, tmp_path: Path) -> None:
    wrong = right(converted)
    wrong[2, 0, 4] += 0.01
    write_reference(tmp_path, wrong)
    with pytest.raises(ParityLost, match=r"the converted model and of the source in TensorFlow differs by 0\.01"):
        verify(converted, tmp_path, NAMES)


def test_cases_without_a_finite_answer_say_nothing_and_a_model_without_any_other_is_refused(
    converted: bytes, tmp_path: Path
) -> None:
    outputs = right(converted)
    outputs[0] = np.nan
    write_reference(tmp_path, outputs)
    verify(converted, tmp_path, NAMES)
    write_reference(tmp_path, np.full_like(outputs, np.inf))
    with pytest.raises(ModelMalformed, match="NaN or infinity"):
        verify(converted, tmp_path, NAMES)


@pytest.mark.parametrize(
    "names", [Converted(["input", "lost"], ["tanh"]), Converted(["input"], ["tanh", "lost"])], ids=["input", "output"]
)
def test_an_input_or_output_that_the_converter_lost_is_told(converted: bytes, tmp_path: Path, names: Converted) -> None:
    write_reference(tmp_path, right(converted))
    with pytest.raises(ModelMalformed, match="The converter left"):
        verify(converted, tmp_path, names)


def test_a_file_that_litert_does_not_load_is_refused(converted: bytes, tmp_path: Path) -> None:
    write_reference(tmp_path, right(converted))
    with pytest.raises(ModelMalformed, match="LiteRT does not load"):
        verify(converted[: len(converted) // 2], tmp_path, NAMES)
