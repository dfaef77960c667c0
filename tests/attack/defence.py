"""One row of the threat model: a threat, what is done about it, the tests that prove it, and how to take it away.

A test that passes with and without the defence proves nothing. So each row says which functions *are* the defence;
``test_attack_defences_matter.py`` replaces them, and wants the row's test to fail because the attack then succeeds.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Removal = Callable[[Any], Any]


@dataclass(frozen=True)
class Defence:
    """A row of SECURITY.md.

    Attributes:
        threat: What an attacker does, in a few words.
        defence: What is done about it, in one line.
        tests: Node ids, ``tests/FOLDER/FILE.py::NAME`` without parameters. The first must fail without the defence, so
            it should be a fast one.
        without: What to take away, by the dotted name at which it is looked up: a function from what stands there to
            what shall stand there instead (see :func:`answering`, :func:`value`).
    """

    threat: str
    defence: str
    tests: tuple[str, ...]
    without: Mapping[str, Removal]
    ends_with: str = ""

    @property
    def shown_by(self) -> str:
        """The test that must fail without the defence."""
        return self.tests[0]

    @property
    def line(self) -> str:
        """The row as it stands in SECURITY.md."""
        names = ", ".join(f"`{test.rpartition('::')[2]}`" for test in self.tests)
        return f"| {self.threat} | {self.defence} | {names} |"


def answering(result: Any = None) -> Removal:
    """In place of a function: one that looks at nothing and returns ``result``."""
    return lambda _original: lambda *_args, **_kwargs: result


def value(other: Any) -> Removal:
    """In place of a constant: another one."""
    return lambda _original: other


def take_away(defence: Defence) -> list[tuple[object, str, Any]]:
    """Replace what the row names, in this process; returns what stood where."""
    found = [(*_owner(dotted), removal) for dotted, removal in defence.without.items()]
    originals = [(owner, name, inspect.getattr_static(owner, name)) for owner, name, _ in found]
    for owner, name, removal in found:
        setattr(owner, name, removal(getattr(owner, name)))
    return originals


@contextmanager
def taken_away(defence: Defence) -> Iterator[None]:
    """A world without the defence, in this process and for a while."""
    originals = take_away(defence)
    try:
        yield
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


def _owner(dotted: str) -> tuple[object, str]:
    """The module or class that holds what ``dotted`` names, and its name in there."""
    *path, name = dotted.split(".")
    for length in range(len(path), 0, -1):
        try:
            owner: object = importlib.import_module(".".join(path[:length]))
        except ModuleNotFoundError:
            continue
        for step in path[length:]:
            owner = getattr(owner, step)
        return owner, name
    raise ModuleNotFoundError(f"nothing of {dotted!r} can be imported")
