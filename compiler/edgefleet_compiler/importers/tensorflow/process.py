"""The compiler's side of the TensorFlow child: starts it, limits it, and takes its answer.

The child sees the same packages as this process and nothing else of it: a fresh environment without the caller's
variables, an empty home, a copy of the source in a folder of its own, and no stdin. What it prints goes to a file.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from edgefleet_compiler.importers.tensorflow.messages import (
    ANSWER,
    CONVERTED,
    LOG,
    Answer,
    Converted,
    OutOfMemory,
    Question,
    Refused,
)
from edgefleet_compiler.importers.tensorflow.sources import TensorFlowSource
from edgefleet_compiler.importers.tensorflow.verify import verify
from edgefleet_contract.errors import ConversionLimitReached, ModelMalformed, UsageMalformed, revive
from edgefleet_hardware.units import format_bytes

_CHILD: Final = "edgefleet_compiler.importers.tensorflow.child"
_NEEDS: Final = ("tensorflow", "keras", "h5py")
_TOLD_BYTES = 2000
_MOST_ANSWER_BYTES = 1 << 20
_BASE_BYTES: Final = 6 << 30
_TIMES_SOURCE: Final = 8
_GRACE_S: Final = 10


@dataclass(frozen=True)
class Limits:
    """What the child may take.

    Attributes:
        seconds: From its start to its answer. TensorFlow alone takes three to twelve to load.
        memory_bytes: Address space. TensorFlow maps 2.5 GB before it has seen a model, and holds the constants of one
            eight times over while it converts them. None reckons with that.
    """

    seconds: float = 600.0
    memory_bytes: int | None = None

    def memory_for(self, source: TensorFlowSource) -> int:
        """The limit for one source, in bytes."""
        return self.memory_bytes or _BASE_BYTES + _TIMES_SOURCE * source.size


def convert(
    source: TensorFlowSource, *, input_shapes: Mapping[str, tuple[int, ...]], limits: Limits | None = None
) -> bytes:
    """A source as a float ``.tflite`` model that was seen to compute the same.

    Args:
        source: The Keras file or SavedModel.
        input_shapes: Shapes for inputs that it leaves open, by name; an open batch becomes 1.
        limits: What this may take.

    Returns:
        A file whose inputs and outputs have the names, order, shapes and axis order of the source.

    Raises:
        UsageMalformed: TensorFlow is not installed; or ``input_shapes`` does not fit, or an input stays open.
        ModelMalformed: No such model, or a truncated or contradictory one.
        ModelCarriesCode: Loading the model would run code that came with it.
        OperatorUnsupported: Custom layers, or operators that TFLite does not have.
        ConversionLimitReached: It takes more time or memory than allowed.
        ParityLost: What was converted does not compute what the source computes.
    """
    _require_tensorflow()
    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="edgefleet-") as name:
        folder = Path(name)
        source.write_to(folder)
        question = Question(
            source.format, name, dict(input_shapes), limits.memory_for(source), seconds=int(limits.seconds) + _GRACE_S
        )
        answer = _ask(question, limits.seconds)
        converted = (folder / CONVERTED).read_bytes()
        verify(converted, folder, answer)
    return converted


def _require_tensorflow() -> None:
    missing = [package for package in _NEEDS if importlib.util.find_spec(package) is None]
    if missing:
        raise UsageMalformed(
            f"Keras and SavedModel files need the Python package {missing[0]!r}, which is not installed",
            remedy="Install it with `pip install 'edgefleet[tensorflow]'`, or export the model to ONNX or TFLite.",
            extra="tensorflow",
        )


def _ask(question: Question, seconds: float) -> Converted:
    folder = Path(question.folder)
    with (folder / LOG).open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-s", "-m", _CHILD],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=child_environment(folder),
            start_new_session=True,
        )
    try:
        process.communicate(msgspec.json.encode(question), timeout=seconds)
    except subprocess.TimeoutExpired as cause:
        raise ConversionLimitReached(
            f"Loading and converting the model took longer than {seconds:g} s",
            remedy="Export it to ONNX or TFLite where it was trained, and compile that.",
            seconds=seconds,
        ) from cause
    finally:
        _end(process)
    answer = _answer(folder, process.returncode)
    if isinstance(answer, OutOfMemory):
        raise _out_of_memory(question)
    if isinstance(answer, Refused):
        raise revive(answer.error)
    return answer


def child_environment(folder: Path) -> dict[str, str]:
    """Nothing of the caller's but where programs, packages and libraries lie."""
    inherited = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if Path(path).is_absolute()),
        "PYTHONHASHSEED": "0",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "KERAS_HOME": str(folder),
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",  # each arena takes 64 MiB of address space
        "HDF5_PLUGIN_PRELOAD": "::",  # HDF5 then loads no filter from a library that a file names
    }


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the child and whatever it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answer(folder: Path, status: int) -> Answer:
    path = folder / ANSWER
    if path.is_file() and path.stat().st_size <= _MOST_ANSWER_BYTES:
        try:
            answer: Answer = msgspec.json.decode(path.read_bytes(), type=Answer)
        except msgspec.DecodeError as cause:
            raise ModelMalformed(f"TensorFlow's process gave an answer that does not decode: {cause}") from cause
        return answer
    said = _last_words(folder / LOG)
    if "bad_alloc" in said or "Cannot allocate memory" in said or "Out of memory" in said:
        return OutOfMemory()
    died = f"signal {-status}" if status < 0 else f"exit status {status}"
    raise ModelMalformed(
        f"TensorFlow's process ended with {died} over the model" + (f": {said.splitlines()[-1]}" if said else ""),
        expected="a model that TensorFlow loads and converts",
        remedy="Export it to ONNX or TFLite where it was trained, and compile that.",
    )


def _last_words(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TOLD_BYTES))
        return file.read().decode(errors="replace").strip()


def _out_of_memory(question: Question) -> ConversionLimitReached:
    return ConversionLimitReached(
        f"Loading and converting the model takes more than {format_bytes(question.memory_bytes)} of memory",
        remedy="Check the sizes of its layers; or export it to ONNX or TFLite where it was trained, and compile that.",
        memory_bytes=question.memory_bytes,
    )
