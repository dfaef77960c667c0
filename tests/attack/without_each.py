"""Runs the tests of rows without their defences, one after another in this process, and tells how each ended.

``python -m attack.without_each ROW ...`` prints one line of JSON for each row: ``row``, ``attack_succeeded``, ``why``.

An attack has succeeded when an assertion in the body of the test failed, or when an error that the test wanted did not
come. Anything else proves nothing and is told: a name that is gone, a test that does not start, or another defence that
refused in place of the one that was taken away (the test then sees another error than the one it wants).
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from attack.defence import Defence, taken_away
from attack.defences import DEFENCES
from edgefleet_contract.errors import all_errors
from support import brokers

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 4.0  # seconds: without its defence a test waits in vain for what the attack prevents
UNDEFENDED = Path(__file__).with_name("undefended")


class Verdict:
    """Watches how a run of pytest ends.

    Attributes:
        attack_succeeded: Whether a test failed as it must.
        why: What was seen, in one line.
    """

    attack_succeeded = False
    why = "no test failed"

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        """Look at the error of a failed phase before anybody turns it into text."""
        yield
        if call.excinfo is None or self.attack_succeeded:
            return
        told = call.excinfo.exconly()
        failed = call.excinfo.errisinstance((AssertionError, pytest.fail.Exception))
        self.attack_succeeded = call.when == "call" and failed and not _is_another_refusal(told)
        self.why = f"{item.name}, {call.when}: {told}"[:600]


def _is_another_refusal(told: str) -> bool:
    """Whether a failed comparison of two error codes is all that is told."""
    compared = re.search(r"assert '([\w.]+)' == '([\w.]+)'", told)
    return compared is not None and set(compared.groups()) <= {error.code for error in all_errors()}


def run_without(place: int, defence: Defence) -> Verdict:
    """Run the row's test in a world without its defence."""
    path = f"{UNDEFENDED}:{os.environ.get('PYTHONPATH', '')}"
    verdict = Verdict()
    options = ["-q", "-x", "--no-header", "-p", "no:cacheprovider", "-p", "no:randomly"]
    # What a row takes away may have imported the module of a plugin before pytest could rewrite it.
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    with mock.patch.dict(os.environ, {"UNDEFENDED": str(place), "PYTHONPATH": path}), taken_away(defence):
        ended = pytest.main([*options, str(ROOT / defence.shown_by)], plugins=[verdict])
    if ended not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        verdict.attack_succeeded, verdict.why = False, f"pytest ended with {ended!r}"
    return verdict


def main() -> None:
    """Run the rows of the command line."""
    brokers.WAIT = PATIENCE
    for place in map(int, sys.argv[1:]):
        try:
            verdict = run_without(place, DEFENCES[place])
            told = {"row": place, "attack_succeeded": verdict.attack_succeeded, "why": verdict.why}
        except (AttributeError, ImportError) as error:  # what the row takes away is not there any more
            told = {"row": place, "attack_succeeded": False, "why": repr(error)}
        sys.stdout.write("\n" + json.dumps(told) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
