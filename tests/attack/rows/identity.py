"""Who a device is, and how it comes by that."""

from attack.defence import Defence

ROWS: tuple[Defence, ...] = ()
