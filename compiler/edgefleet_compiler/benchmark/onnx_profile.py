"""Times of each node by onnxruntime's own profile of whole inferences.

The optimiser fuses nodes and renames what it makes. It derives new names from those of nodes or values that it
replaces, so the model is profiled with numbers for names.

Source: onnxruntime documentation, "Profiling Tools" (events of category "Node", durations in microseconds).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgefleet_compiler.checks.onnx_nodes import numbered, numbers_in
from edgefleet_compiler.hub.session import onnxruntime

_KERNEL = "_kernel_time"
_WARM_UP = 5


@dataclass(frozen=True)
class ProfiledNode:
    """A node as onnxruntime ran it.

    Attributes:
        kind: Its operator after optimisation.
        index: The node of the file that it came from, the last one if it is several; None where its name tells none.
        seconds: Of each inference, shape (runs,).
    """

    kind: str
    index: int | None
    seconds: NDArray[np.float64]


def profile_onnx(data: bytes, inputs: Sequence[NDArray[np.generic]], *, runs: int) -> list[ProfiledNode]:
    """Profile a model on one thread.

    Args:
        data: The ONNX file, with all its data inside.
        inputs: As the model stores them, in its order.
        runs: Inferences after a warm-up.

    Returns:
        Nodes in order of execution.
    """
    with tempfile.TemporaryDirectory(prefix="edgefleet-profile-") as folder:
        session = _session(numbered(onnx.load_model_from_string(data)).SerializeToString(), Path(folder) / "profile")
        feeds = dict(zip((entry.name for entry in session.get_inputs()), inputs, strict=True))
        for _ in range(_WARM_UP + runs):
            session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    durations: dict[tuple[str, str], list[float]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(_KERNEL):
            durations.setdefault((event["name"], event["args"]["op_name"]), []).append(event["dur"] * 1e-6)
    return [
        ProfiledNode(kind, _index(name), np.array(seconds[_WARM_UP:])) for (name, kind), seconds in durations.items()
    ]


def _session(data: bytes, prefix: Path) -> Any:
    module: Any = onnxruntime()
    options = module.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_profiling = True
    options.profile_file_prefix = str(prefix)
    return module.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _index(name: str) -> int | None:
    return max(numbers_in(name), default=None)
