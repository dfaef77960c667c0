"""What a runtime really allocates for a model: run as a program of its own, so that nothing else allocates meanwhile.

Usage: ``python runtime_memory.py tflite|onnx MODEL WARM_UP_MODEL``; prints bytes that were allocated and not freed
between loading the model and the end of its second inference, as the C library counts them (``mallinfo2``).
"""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

_FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"


class _MallInfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS.split()]


def measure(model: Path, warm_up: Path) -> int:
    """Bytes that the runtime of ``model``'s format takes for it.

    Args:
        model: A ``.tflite`` or ``.onnx`` file.
        warm_up: Another of the same format, run before, so that what is made once for all models is there already.
    """
    command = [sys.executable, __file__, model.suffix.removeprefix("."), str(model), str(warm_up)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return int(ended.stdout)


def _allocated() -> int:
    library = ctypes.CDLL(None)
    library.mallinfo2.restype = _MallInfo
    info = library.mallinfo2()
    return int(info.uordblks + info.hblkhd)


def _tflite(path: str, mark: Callable[[], None]) -> object:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=1)
    mark()  # the interpreter's own structures are not in question
    interpreter.allocate_tensors()
    for _ in range(2):
        interpreter.invoke()
    return interpreter


def _onnx(path: str, mark: Callable[[], None]) -> object:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    mark()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {entry.name: np.zeros(entry.shape, np.float32) for entry in session.get_inputs()}
    for _ in range(2):
        session.run(None, feeds)
    return session


def _main(model_format: str, model: str, warm_up: str) -> None:
    run = {"tflite": _tflite, "onnx": _onnx}[model_format]
    run(warm_up, lambda: None)
    gc.collect()
    before = 0

    def mark() -> None:
        nonlocal before
        before = _allocated()

    kept = run(model, mark)
    print(_allocated() - before)
    del kept


if __name__ == "__main__":
    _main(*sys.argv[1:])
