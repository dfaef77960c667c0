"""The address of a scheduler: refused at once where none can be there."""

from __future__ import annotations

import re
import socket

from edgefleet_contract.errors import ClusterUnreachable, UsageMalformed

_ADDRESS = re.compile(r"(tcp|tls)://(\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})")
_HIGHEST_PORT = 65535


def check_address(address: str) -> None:
    """Refuse what is no address, or one of a host that nobody knows; nothing is sent to it.

    Args:
        address: Of a scheduler, ``tcp://host:port``.

    Raises:
        UsageMalformed: It has another form, or a port that cannot be.
        ClusterUnreachable: The name of the host is unknown.
    """
    parts = _ADDRESS.fullmatch(address)
    if parts is None:
        raise UsageMalformed(f"--scheduler is {address!r}", expected="an address such as tcp://host:8786")
    port = int(parts["port"])
    if not 1 <= port <= _HIGHEST_PORT:
        raise UsageMalformed(f"--scheduler is {address!r}", expected=f"a port from 1 to {_HIGHEST_PORT}")
    host = parts["ipv6"] or parts["name"]
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as cause:  # a name that is too long is never asked for
        why = cause.strerror if isinstance(cause, OSError) else "this is no name of a host"
        raise ClusterUnreachable(
            f"The host {host!r} of the Dask scheduler {address!r} is unknown here: {why}",
            remedy="Look for a slip in --scheduler, or give the address in numbers.",
            scheduler=address,
        ) from cause
