"""What devices may do to the server and to each other."""

from attack.defence import Defence

ROWS: tuple[Defence, ...] = ()
