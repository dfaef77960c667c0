"""The command line as tests call it: in this process, with what it printed and how it ended."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from edgefleet.main import main


@dataclass(frozen=True)
class Ended:
    """A command that ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        document: dict[str, Any] = json.loads(self.out)
        return document


Run = Callable[..., Ended]


def runner(captured: pytest.CaptureFixture[str]) -> Run:
    """A function that runs one command line."""

    def run(*arguments: object) -> Ended:
        captured.readouterr()
        status = main([str(argument) for argument in arguments])
        said = captured.readouterr()
        return Ended(status, said.out, said.err)

    return run
