"""The publisher's keys: what a stolen server cannot do."""

from attack.defence import Defence

ROWS: tuple[Defence, ...] = ()
