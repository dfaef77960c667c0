"""A sweep on a Dask cluster: a scheduler and two workers as processes on loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.commands import Run, runner
from support.ports import free_port
from support.sweeps import PATIENCE_S, children_of, wait_for, write_sweep_files

pytestmark = pytest.mark.integration

POINTS = 3


@dataclass(frozen=True)
class Cluster:
    """A scheduler and its workers."""

    address: str
    workers: list[subprocess.Popen[bytes]]


@contextmanager
def dask(folder: Path, *words: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the cluster, with a working folder of its own."""
    folder.mkdir()
    command = [sys.executable, "-m", "dask", *map(str, words), "--host", "127.0.0.1", "--no-dashboard"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    address = f"tcp://127.0.0.1:{(port := free_port())}"
    with ExitStack() as stack:
        stack.enter_context(dask(tmp_path / "scheduler", "scheduler", "--port", port))
        worker = ("worker", address, "--nthreads", 1, "--no-nanny", "--death-timeout", PATIENCE_S)
        started = [stack.enter_context(dask(tmp_path / name, *worker)) for name in ("one", "two")]
        wait_for(lambda: all("Registered to" in (tmp_path / name / "log").read_text() for name in ("one", "two")))
        yield Cluster(address, started)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


def test_a_cluster_finds_the_same_front_even_if_a_worker_dies(run: Run, cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    files = write_sweep_files(tmp_path / "model")
    here, there = tmp_path / "here", tmp_path / "there"
    assert run(*files.options(here, POINTS)).status == 0
    with files.start(there, POINTS, "--scheduler", cluster.address) as process:
        victim = cluster.workers[0]
        wait_for(lambda: children_of(victim.pid))  # it is at work on a candidate
        victim.kill()
        _, said = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, said) == (0, "")
    for name in ("front.json", "front.csv", "candidates.csv"):
        assert (there / name).read_bytes() == (here / name).read_bytes()


@pytest.mark.parametrize(
    "address",
    ["", "nonsense", "tcp://127.0.0.1", "http://127.0.0.1:8786", "tcp://127.0.0.1:99999", "tcp://127.0.0.1:0"],
)
def test_what_is_no_address_is_refused_before_anything_is_written(run: Run, tmp_path: Path, address: str) -> None:
    ended = run(*write_sweep_files(tmp_path).options(tmp_path / "out", POINTS, "--scheduler", address))
    assert ended.status == 2
    assert f"--scheduler is '{address}'" in ended.err
    assert not (tmp_path / "out").exists()


def test_a_scheduler_that_does_not_answer_is_told_once(run: Run, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    files = write_sweep_files(tmp_path / "model")
    address = f"tcp://127.0.0.1:{free_port()}"
    with files.start(tmp_path / "out", POINTS, "--scheduler", address) as process:
        out, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 5
    assert out == ""
    assert said.startswith(f"error[cluster.unreachable]: The Dask scheduler at '{address}' does not answer")
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("host", ["nobody.invalid", "a" * 64])
def test_a_scheduler_whose_name_nobody_knows_is_told_as_that(run: Run, tmp_path: Path, host: str) -> None:
    files = write_sweep_files(tmp_path)
    ended = run(*files.options(tmp_path / "out", POINTS, "--scheduler", f"tcp://{host}:8786"))
    assert ended.status == 5
    assert ended.err.startswith(f"error[cluster.unreachable]: The host '{host}'")
    assert "is unknown" in ended.err
    assert not (tmp_path / "out").exists()
