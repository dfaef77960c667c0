"""A minute of fuzzing for each reader, at once: no crash, no hang, no memory over the limit, only documented errors."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fuzz_targets import TARGETS

SECONDS = 60
RUN = Path(__file__).with_name("run.py")


@pytest.fixture(scope="module")
def fuzzers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """One process a target."""
    folder = tmp_path_factory.mktemp("fuzz")
    running = {
        target: subprocess.Popen(
            [sys.executable, str(RUN), target, "--seconds", str(SECONDS), "--work", str(folder / target)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace", env=dict(os.environ),
        )
        for target in TARGETS
    }  # fmt: skip
    yield running
    for process in running.values():
        process.kill()
        process.communicate()


@pytest.mark.integration
@pytest.mark.parametrize("target", sorted(TARGETS))
def test_no_input_is_met_by_anything_but_a_result_or_a_documented_error(
    fuzzers: dict[str, subprocess.Popen[str]], target: str
) -> None:
    _, said = fuzzers[target].communicate(timeout=4 * SECONDS)
    assert fuzzers[target].returncode == 0, said[-5000:]
    runs = re.search(r"^Done (\d+) runs", said, re.MULTILINE)
    assert runs is not None, said[-5000:]
    assert int(runs[1]) >= 1000


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_the_seeds_are_files_that_are_read(target: str) -> None:
    for data in TARGETS[target].seeds().values():
        TARGETS[target].run(data)
