"""The threat model, as rows that tests check: the table of SECURITY.md is written from here.

Run ``python -m attack.defences`` in ``tests`` to write the table after a change.
"""

from __future__ import annotations

from pathlib import Path

from attack.defence import Defence
from attack.rows import (
    broker,
    bundles,
    compiler,
    devices,
    identity,
    lifecycle,
    metadata,
    private,
    publisher,
    revocation,
    server,
    time,
    trust,
    users,
)

DEFENCES: tuple[Defence, ...] = (
    *trust.ROWS,
    *publisher.ROWS,
    *bundles.ROWS,
    *identity.ROWS,
    *lifecycle.ROWS,
    *broker.ROWS,
    *metadata.ROWS,
    *revocation.ROWS,
    *time.ROWS,
    *devices.ROWS,
    *private.ROWS,
    *users.ROWS,
    *server.ROWS,
    *compiler.ROWS,
)
PAGE = Path(__file__).resolve().parents[2] / "SECURITY.md"
_HEAD = ["| threat | defence | test |", "|---|---|---|"]


def table() -> str:
    """The table of SECURITY.md."""
    return "\n".join([*_HEAD, *(defence.line for defence in DEFENCES)]) + "\n"


def page_with_table(page: str) -> str:
    """``page`` with the table in place of the one it has."""
    before, _, rest = page.partition(_HEAD[0])
    rows = rest.splitlines(keepends=True)
    after = "".join(rows[next(i for i, row in enumerate(rows[1:], 1) if not row.startswith("|")) :])
    return before + table() + after


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text()))
