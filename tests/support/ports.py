"""Ports for servers that cannot be handed a bound socket."""

from __future__ import annotations

import secrets
import socket

# Below Linux's ip_local_port_range (from 32768): a connection that goes out never takes one of these in the meantime.
_LOWEST, _HIGHEST = 15_000, 32_000


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    while True:
        port = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
