"""What holds for every test: nothing is skipped in silence, and nobody's keys or settings are touched.

A test that cannot run fails, with two exceptions, which are left out, counted and told: tests marked ``shared`` need
the folder ``../shared`` with the MLPerf Tiny models, and tests marked ``torch`` need PyTorch, no dependency of ours.

With ``-n auto`` there is a process for each core, of pytest-xdist. Each collects all tests, and tells the one that
prints how many it left out.
"""

from __future__ import annotations

import importlib.util
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from support.server_state import Inside

SHARED = Path(__file__).resolve().parents[2] / "shared"
# By marker: whether what its tests need is there, and what to say where it is not.
NEEDS = {
    "shared": (SHARED.is_dir(), "../shared is not there"),
    "torch": (importlib.util.find_spec("torch") is not None, "torch is not installed"),
}
MOST_WORKERS = 4  # of half a GB to one and a half each
_left_out = pytest.StashKey[Counter[str]]()


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keys and settings of a test are its own; no setting of the caller's environment reaches it."""
    for name in ("SERVER", "TOKEN", "DATA", "DEBUG", "PI", "PI_EVIDENCE"):
        monkeypatch.delenv(f"EDGEFLEET_{name}", raising=False)
    monkeypatch.setenv("EDGEFLEET_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    """A fleet server without its network, under a clock that the test turns."""
    from support import server_state  # the agent's own tests run where there is no server

    made = server_state.Inside(tmp_path)
    yield made
    made.close()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs something that is not there."""
    lacking = {marker for marker, (is_there, _) in NEEDS.items() if not is_there}
    missing = [item for item in items if lacking & {marker.name for marker in item.iter_markers()}]
    config.stash[_left_out] = Counter(
        marker.name for item in missing for marker in item.iter_markers() if marker.name in lacking
    )
    config.hook.pytest_deselected(items=missing)
    items[:] = [item for item in items if item not in missing]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Turn every skip into a failure: the list of reasons that are allowed is empty."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined] # pluggy's result, which it does not type here
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and no reason to skip is allowed: {report.longrepr}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """What ``-n auto`` stands for."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_WORKERS, cores)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Give a worker's linear algebra one thread: the other workers have the other cores."""
    for library in ("OMP", "OPENBLAS"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a worker tell what it left out."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["left_out"] = dict(session.config.stash.get(_left_out, Counter()))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Keep what a worker told: all of them collected the same tests."""
    node.config.stash[_left_out] = Counter(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell how many tests were left out."""
    counts = config.stash.get(_left_out, Counter())
    for marker, (_, reason) in NEEDS.items():
        terminalreporter.write_line(f"tests left out because {reason}: {counts[marker]}")
