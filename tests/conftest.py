"""What holds for every test: nothing is skipped in silence, and nobody's keys or settings are touched.

A test that cannot run fails. The one exception are tests marked ``shared``: they need the folder ``../shared`` with the
MLPerf Tiny models, and are left out, counted and told, where it is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"
_left_out = pytest.StashKey[int]()


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keys and settings of a test are its own; no setting of the caller's environment reaches it."""
    for name in ("EDGEFLEET_SERVER", "EDGEFLEET_TOKEN", "EDGEFLEET_DATA", "EDGEFLEET_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EDGEFLEET_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs ``../shared`` where it is not."""
    config.stash[_left_out] = 0
    if SHARED.is_dir():
        return
    missing = [item for item in items if item.get_closest_marker("shared")]
    config.stash[_left_out] = len(missing)
    config.hook.pytest_deselected(items=missing)
    items[:] = [item for item in items if not item.get_closest_marker("shared")]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Turn every skip into a failure: the list of reasons that are allowed is empty."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined] # pluggy's result, which it does not type here
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and no reason to skip is allowed: {report.longrepr}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell how many tests were left out."""
    count = config.stash.get(_left_out, 0)
    terminalreporter.write_line(f"tests left out because ../shared is not there: {count}")
