"""How results look: tables for people, one JSON document for programs; both on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgefleet_server.clock import DAY, HOUR, MINUTE, SECOND, as_datetime, system_clock

# What a state looks like, wherever it is shown.
STYLES = {
    "confirmed": "green", "succeeded": "green", "finished": "green",
    "running": "cyan", "probation": "cyan", "trial": "cyan", "verifying": "cyan", "downloading": "cyan",
    "assigned": "cyan", "rolling_back": "yellow", "paused": "yellow", "rolled_back": "yellow",
    "failed": "red", "rejected": "red", "reverted": "red", "halted": "red", "stranded": "red", "aborted": "red",
    "revoked": "red", "retired": "dim", "open": "red", "drifted": "red", "stable": "green",
}  # fmt: skip

_UNBROKEN = 2000  # columns


def out() -> Console:
    """The console that results go to. What goes to a file or a pipe is not broken into lines to fit a screen."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _UNBROKEN)


def note(text: str) -> None:
    """A remark for people, on stderr."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text(text, style="dim"))


def line(words: str) -> None:
    """A line that whoever reads the pipe sees at once."""
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def print_json(document: object) -> None:
    """Print the one JSON document of a command."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    sys.stdout.flush()


def table(*columns: str) -> Table:
    """An empty table in our style; a column that begins with ``>`` is aligned to the right, the last one may wrap."""
    made = _plain_table(show_header=True)
    for column in columns[:-1]:
        made.add_column(column.removeprefix(">"), justify=_justify(column), no_wrap=True)
    made.add_column(columns[-1].removeprefix(">"), justify=_justify(columns[-1]), overflow="fold")
    return made


def properties() -> Table:
    """An empty table of names and values."""
    made = _plain_table(show_header=False)
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    return made


def state(name: str) -> Text:
    """A state in its colour."""
    return Text(name.replace("_", " "), style=STYLES.get(name, ""))


def text(value: object, style: str = "") -> Text:
    """A value as it is. What a device says of itself is neither markup, nor a command to the terminal."""
    if value is None or value == "":
        return Text("-", style=style)
    return Text(
        "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(value)), style
    )


def short(digest: str | None) -> Text:
    """The beginning of a digest."""
    return text(digest[:12] if digest else None, "dim")


def ago(milliseconds: int | None) -> Text:
    """How long ago, for people."""
    if milliseconds is None:
        return text("never", "dim")
    return text(f"{duration(max(0, system_clock() - milliseconds))} ago")


def day(milliseconds: int | None) -> str | None:
    """A day in the future, for people."""
    return f"{as_datetime(milliseconds):%Y-%m-%d}" if milliseconds is not None else None


def duration(milliseconds: int) -> str:
    """A span of time in its largest unit."""
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if milliseconds >= unit:
            return f"{milliseconds / unit:.0f} {name}"
    return f"{milliseconds / SECOND:.0f} s"


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1024:.1f} KiB" if count < 1 << 20 else f"{count / (1 << 20):.1f} MiB"


def tags(pairs: dict[str, str]) -> str:
    """Tags on one line."""
    return " ".join(f"{key}={value}" for key, value in pairs.items())


def states(counts: dict[str, int], order: Sequence[str] = ()) -> Text:
    """Counts by state on one line."""
    line = Text()
    for name in sorted(counts, key=lambda name: (order.index(name) if name in order else len(order), name)):
        line.append(f"{counts[name]} {name.replace('_', ' ')}  ", style=STYLES.get(name, ""))
    return line


def _plain_table(*, show_header: bool) -> Table:
    return Table(box=None, show_header=show_header, header_style="bold dim", pad_edge=False, padding=(0, 2, 0, 0))


def _justify(column: str) -> Literal["left", "right"]:
    return "right" if column.startswith(">") else "left"
