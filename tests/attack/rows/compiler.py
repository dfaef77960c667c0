"""Hostile files on the machine that compiles."""

from attack.defence import Defence

ROWS: tuple[Defence, ...] = ()
