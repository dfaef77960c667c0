"""A program of its own that runs models in a runtime: on the host to see its memory, in the emulated Pi to be counted.

It imports nothing of edgefleet, since the emulated Pi has none of it, and no more than it needs, since its memory is
measured. Called with the name of a job file; see ``main``.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = list[NDArray[np.generic]]
# CPython replaces instructions of its own by faster ones while code is repeated (PEP 659), which takes eight rounds.
_WAKE_UP = 12
_WARM_UP = 2  # runtimes allocate at the first inference
EMPTY = 8  # regions with nothing in them: what making the marks costs


class LiteRt:
    """A ``.tflite`` file in LiteRT, on one thread, as devices run it."""

    def __init__(self, model: str) -> None:
        from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - one runtime, not both

        self._interpreter: Any = Interpreter(model_path=model, num_threads=1)
        self._interpreter.allocate_tensors()

    def feed(self, values: Sequence[NDArray[np.generic]]) -> None:
        """Set the inputs, in the model's order."""
        for entry, value in zip(self._interpreter.get_input_details(), values, strict=True):
            self._interpreter.set_tensor(entry["index"], value)

    def infer(self) -> None:
        """One inference."""
        self._interpreter.invoke()

    def outputs(self) -> Arrays:
        """What comes out of one inference from rest, in the model's order."""
        self._interpreter.reset_all_variables()
        self.infer()
        return [self._interpreter.get_tensor(entry["index"]) for entry in self._interpreter.get_output_details()]


class OnnxRuntime:
    """An ``.onnx`` file in onnxruntime, on one thread, as devices run it."""

    def __init__(self, model: str) -> None:
        import onnxruntime  # noqa: PLC0415 - as above

        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._binding = self._session.io_binding()
        for entry in self._session.get_outputs():
            self._binding.bind_output(entry.name)

    def feed(self, values: Sequence[NDArray[np.generic]]) -> None:
        """Set the inputs, in the model's order."""
        for entry, value in zip(self._session.get_inputs(), values, strict=True):
            self._binding.bind_cpu_input(entry.name, value)

    def infer(self) -> None:
        """One inference."""
        self._session.run_with_iobinding(self._binding)

    def outputs(self) -> Arrays:
        """What comes out of one inference, in the model's order."""
        self.infer()
        return list(self._binding.copy_outputs_to_cpu())


RUNTIMES: Mapping[str, Callable[[str], LiteRt | OnnxRuntime]] = {"tflite": LiteRt, "onnx": OnnxRuntime}


def count(job: Mapping[str, Any]) -> None:
    """Make marks around regions with nothing in them, then around inferences of each model but the first.

    The first model of the job is a small one, which warms up what all have in common. Region ``i`` lies between the
    marks 2 i and 2 i + 1: first the empty ones, then ``runs`` of each model in order.
    """
    region = _Regions(job["mark"])
    small = _opened(job["models"][0])
    for _ in range(_WAKE_UP):
        region.skip(small.infer)
        region.skip(gc.isenabled)
    for _ in range(EMPTY):
        region.mark(gc.isenabled)
    for entry in job["models"][1:]:
        model = _opened(entry)
        for _ in range(_WARM_UP):
            region.skip(model.infer)
        for _ in range(job["runs"]):
            region.mark(model.infer)
        _save(entry["outputs"], model.outputs())
        del model


class _Regions:
    """Marks before and after what is done, by a system call that does nothing."""

    def __init__(self, mark: int) -> None:
        self._descriptor = os.open(os.devnull, os.O_RDONLY)
        self._next = mark

    def mark(self, work: Callable[[], object]) -> None:
        self._between(self._next, work)
        self._next += 2

    def skip(self, work: Callable[[], object]) -> None:
        """Warm up: the same steps with numbers that are no marks."""
        self._between(0, work)

    def _between(self, number: int, work: Callable[[], object]) -> None:
        os.lseek(self._descriptor, number, os.SEEK_SET)
        work()
        os.lseek(self._descriptor, number + 1, os.SEEK_SET)


def memory(job: Mapping[str, Any]) -> None:
    """Print what the process has of the machine's memory at each step, in bytes, as JSON.

    The first model of the job is a small one that wakes the runtime; the second is the one that is measured.
    """
    small, entry = job["models"]
    _opened(small).infer()
    inputs = _load(entry["inputs"])
    gc.collect()
    before = _resident()["VmRSS"]
    model = RUNTIMES[entry["format"]](entry["model"])
    loaded = _resident()["VmRSS"]
    model.feed(inputs)
    model.infer()
    after = _resident()
    steps = {
        "before_load": before,
        "after_load": loaded,
        "after_first_inference": after["VmRSS"],
        "peak": after["VmHWM"],
    }
    sys.stdout.write(json.dumps(steps))


def _opened(entry: Mapping[str, str]) -> LiteRt | OnnxRuntime:
    """A model with its inputs set."""
    model = RUNTIMES[entry["format"]](entry["model"])
    model.feed(_load(entry["inputs"]))
    return model


def _resident() -> dict[str, int]:
    """Bytes of memory by the names of ``/proc/self/status`` (proc_pid_status(5))."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    pairs = (line.split(":", 1) for line in lines if line.startswith(("VmRSS", "VmHWM")))
    return {name: int(value.split()[0]) * 1024 for name, value in pairs}


def _load(path: str) -> Arrays:
    with np.load(path, allow_pickle=False) as archive:
        return [archive[f"arr_{number}"] for number in range(len(archive.files))]


def _save(path: str, arrays: Arrays) -> None:
    np.savez(path, *arrays)


def main() -> None:
    """Do the job of the file named: an object with ``act`` ("count" or "memory"), ``models`` and what the act needs.

    Each of ``models`` has ``format`` ("tflite" or "onnx") and the paths ``model``, ``inputs`` and ``outputs``, the
    latter ``.npz`` files with ``arr_0``, ``arr_1``, … in the model's order, as it stores them.
    """
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    {"count": count, "memory": memory}[job["act"]](job)


if __name__ == "__main__":
    main()
