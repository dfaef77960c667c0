"""Memory that a runtime really takes for a model, seen from a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from edgefleet_compiler.benchmark.jobs import JOB, SCRIPT, write_job
from edgefleet_compiler.benchmark.record import HostMemory
from edgefleet_compiler.benchmark.small_model import small_model
from edgefleet_compiler.benchmark.subject import Model, random_inputs
from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_contract.errors import EdgefleetError


def measure_memory(model: Model) -> HostMemory:
    """Load and run a model in a process of its own, which tells its memory at each step.

    Raises:
        ModelMalformed: The runtime does not load it.
        EdgefleetError: The process fails, although this one does not.
    """
    both = (small_model(model.format), model)
    models = [(each, random_inputs(open_runner(each.data, each.format))) for each in both]
    with tempfile.TemporaryDirectory(prefix="edgefleet-memory-") as name:
        write_job(Path(name), "memory", models)
        done = subprocess.run(  # noqa: S603 - our own program, without a shell
            [sys.executable, "-P", "-B", str(SCRIPT), JOB],
            cwd=name,
            env=os.environ | {"ORT_DISABLE_TELEMETRY": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    if done.returncode != 0:
        raise EdgefleetError(
            f"The process whose memory is measured ended with status {done.returncode}: {done.stderr.strip()[-500:]}"
        )
    return HostMemory(**json.loads(done.stdout))
