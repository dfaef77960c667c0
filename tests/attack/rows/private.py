"""What is kept from other eyes."""

from attack.defence import Defence

ROWS: tuple[Defence, ...] = ()
