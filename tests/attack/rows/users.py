"""Operators, sessions, tokens and the console."""

from attack.defence import Defence

ROWS: tuple[Defence, ...] = ()
