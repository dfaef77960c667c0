"""Options that several commands share, and the units that they are given in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from edgefleet_contract.errors import UsageMalformed
from edgefleet_server.clock import DAY, HOUR, MINUTE, SECOND

Server = Annotated[
    str | None,
    typer.Option(
        help="The server's console. Default: EDGEFLEET_SERVER, else the server of --data, else http://127.0.0.1:8080."
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        help="Data folder of a server on this machine, for its address and admin token. Default: EDGEFLEET_DATA, "
        "else $EDGEFLEET_HOME/server. EDGEFLEET_TOKEN goes before the token found there, and that goes nowhere else."
    ),
]
RoleOption = Annotated[
    str, typer.Option(help="viewer, operator, approver or admin; each may do what those before it may.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|min|h|d)")
_UNITS = {"ms": 1, "s": SECOND, "m": MINUTE, "min": MINUTE, "h": HOUR, "d": DAY}
_SHARE = re.compile(r"(\d+(?:\.\d+)?)%")


def milliseconds(option: str, text: str) -> int:
    """A duration such as 30s, 10m, 24h or 7d, in milliseconds.

    Raises:
        UsageMalformed: It is none.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise UsageMalformed(f"{option} is {text!r}", expected="a duration such as 30s, 10m, 24h or 7d")
    return round(float(match[1]) * _UNITS[match[2]])


def percent(option: str, text: str) -> float:
    """A percentage such as 10%.

    Raises:
        UsageMalformed: It is none.
    """
    match = _SHARE.fullmatch(text)
    if match is None:
        raise UsageMalformed(f"{option} is {text!r}", expected="a percentage such as 10%")
    return float(match[1])


def pairs(option: str, texts: list[str]) -> dict[str, str]:
    """``key=value`` arguments.

    Raises:
        UsageMalformed: One is none.
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key or not value:
            raise UsageMalformed(f"{option} is {text!r}", expected="KEY=VALUE")
        found[key] = value
    return found


def group() -> typer.Typer:
    """A noun whose verbs are always written out, even where there is only one."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
    app.callback()(_only_verbs)
    return app


def _only_verbs() -> None:
    pass
