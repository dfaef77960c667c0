"""Ends the live sessions of clients: ``python3 kick.py SOCKET CLIENT...``, on the broker's own machine.

A broker checks certificates when a client connects, and a client may stay for months. So whoever has been revoked is
taken over: a connection of the same client id ends the former one (MQTT 3.1.1, section 3.1.4), and with a clean
session nothing is kept for it either. The listener for this is a Unix socket, in a folder that nobody else can enter.

Of the standard library alone, for a copy of it lies beside the configuration of a mosquitto elsewhere.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

_TIMEOUT = 5.0  # seconds
_KEEPALIVE = 10  # seconds
_CLEAN_SESSION = 0x02
_ACCEPTED = bytes([0x20, 0x02, 0x00, 0x00])  # CONNACK, no session present
_DISCONNECT = bytes([0xE0, 0x00])


def kick(door: Path, client: str) -> bool:
    """End the session of ``client``, and forget what waits for it.

    Args:
        door: The broker's Unix socket.
        client: Its client id.

    Returns:
        Whether the broker has done so.
    """
    folder = os.open(door.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_TIMEOUT)
            connection.connect(f"/proc/self/fd/{folder}/{door.name}")  # a socket's path has room for 107 characters
            taken = is_accepted(connection, client)
            connection.sendall(_DISCONNECT)
            return taken
    except OSError:
        return False
    finally:
        os.close(folder)


def is_accepted(connection: socket.socket, client: str) -> bool:
    """Ask for a clean session of MQTT 3.1.1; whether the broker grants it."""
    name = client.encode()
    variable = b"\x00\x04MQTT\x04" + bytes([_CLEAN_SESSION]) + _KEEPALIVE.to_bytes(2, "big")
    payload = len(name).to_bytes(2, "big") + name
    connection.sendall(bytes([0x10, len(variable) + len(payload)]) + variable + payload)
    answer = b""
    while len(answer) < len(_ACCEPTED) and (part := connection.recv(len(_ACCEPTED) - len(answer))):
        answer += part
    return answer == _ACCEPTED


def main(arguments: list[str]) -> int:
    """Kick each client; the exit status."""
    door, *clients = arguments
    left = [client for client in clients if not kick(Path(door), client)]
    for client in left:
        sys.stderr.write(f"{client} was not kicked\n")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
