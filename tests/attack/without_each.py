"""Runs the tests of rows without their defences, one after another, and tells how each ended.

``python -m attack.without_each ROW ...`` prints one line of JSON for each row: ``row``, ``attack_succeeded``, ``why``.

An attack has succeeded when an assertion in the body of the test failed, or when an error that the test wanted did not
come. Anything else proves nothing and is told: a name that is gone, a test that does not start, or another defence that
refused in place of the one that was taken away (the test then sees another error than the one it wants).
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

import edgefleet_agent
import edgefleet_contract
import edgefleet_server
from attack.defence import Defence, taken_away
from attack.defences import DEFENCES
from edgefleet_contract.errors import all_errors
from support import brokers

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = ("numpy", "onnx.reference", "onnxruntime", "httpx", "tuf.ngclient", "hypothesis")
NO_MODULES = re.compile(r"\.(migrations|child|__main__|runtimes)\b")  # programs, and what needs a runtime
PATIENCE = 4.0  # seconds: without its defence a test waits in vain for what the attack prevents
UNDEFENDED = Path(__file__).with_name("undefended")


class Verdict:
    """Watches how a run of pytest ends.

    Args:
        ends_with: As the row has it.

    Attributes:
        attack_succeeded: Whether a test failed as it must.
        why: What was seen, in one line.
    """

    attack_succeeded = False
    why = "no test failed"

    def __init__(self, ends_with: str) -> None:
        self._ends_with = ends_with

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        """Look at the error of a failed phase before anybody turns it into text."""
        yield
        if call.excinfo is None or self.attack_succeeded:
            return
        told = call.excinfo.exconly()
        failed = call.excinfo.errisinstance((AssertionError, pytest.fail.Exception))
        as_told = (failed and not _is_another_refusal(told)) or call.excinfo.typename == self._ends_with
        self.attack_succeeded = call.when == "call" and as_told
        self.why = f"{item.name}, {call.when}: {told}"[:600]


def _is_another_refusal(told: str) -> bool:
    """Whether a failed comparison of two error codes is all that is told."""
    compared = re.search(r"assert '([\w.]+)' == '([\w.]+)'", told)
    return compared is not None and set(compared.groups()) <= {error.code for error in all_errors()}


def run_without(place: int, defence: Defence) -> Verdict:
    """Run the row's test in a world without its defence."""
    path = f"{UNDEFENDED}:{os.environ.get('PYTHONPATH', '')}"
    brokers.WAIT = PATIENCE
    verdict = Verdict(defence.ends_with)
    # Modules that plugins bring along are loaded already, and need no rewriting.
    options = [
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
        "-q",
        "-x",
        "--no-header",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
    ]
    with mock.patch.dict(os.environ, {"UNDEFENDED": str(place), "PYTHONPATH": path}), taken_away(defence):
        ended = pytest.main([*options, str(ROOT / defence.shown_by)], plugins=[verdict])
    if ended not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        verdict.attack_succeeded, verdict.why = False, f"pytest ended with {ended!r}"
    return verdict


def tell(place: int) -> None:
    """Run a row, and print how it ended."""
    try:
        verdict = run_without(place, DEFENCES[place])
        told = {"row": place, "attack_succeeded": verdict.attack_succeeded, "why": verdict.why}
    except (AttributeError, ImportError) as error:  # what the row takes away is not there any more
        told = {"row": place, "attack_succeeded": False, "why": repr(error)}
    sys.stdout.write("\n" + json.dumps(told) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run the rows of the command line, each in a fork of its own: what one takes away, no other one misses.

    Our packages, and what takes long to load, are loaded before: a name is then replaced where its row says, and not
    wherever a module that is loaded later happens to take it over.
    """
    for library in LIBRARIES:
        importlib.import_module(library)
    for package in (edgefleet_contract, edgefleet_agent, edgefleet_server):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not NO_MODULES.search(module.name):
                importlib.import_module(module.name)
    for place in map(int, sys.argv[1:]):
        pid = os.fork()
        if pid == 0:
            tell(place)
            os._exit(0)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
