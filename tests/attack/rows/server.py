"""The server's own state."""

from attack.defence import Defence

ROWS: tuple[Defence, ...] = ()
