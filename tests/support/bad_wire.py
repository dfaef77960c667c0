"""A stretch of network that an attacker holds: everything passes, hardly anything, or nothing."""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType
from typing import Literal

Manner = Literal["pass", "trickle", "swallow"]
_TRICKLE = 64  # bytes at a time
_PAUSE = 0.05  # seconds between them


class BadWire:
    """A TCP proxy in front of a server on loopback; TLS passes through it unread.

    Attributes:
        port: Where it listens.
        swallowed: Bytes that never arrived.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.swallowed = 0
        self._manner: Manner = "pass"
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept)

    def __enter__(self) -> BadWire:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self._cut()

    def behave(self, manner: Manner) -> None:
        """What shall happen to bytes from now on; where they are let through again, with new connections."""
        was, self._manner = self._manner, manner
        if was == "swallow":
            self._cut()

    def _cut(self) -> None:
        for end in self._open:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it has hung up by itself

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            self._open += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with source:
            try:
                while data := source.recv(1 << 16):
                    self._deliver(data, sink)
                sink.shutdown(socket.SHUT_WR)
            except OSError:
                return  # one of the two has hung up

    def _deliver(self, data: bytes, sink: socket.socket) -> None:
        while data:
            if self._manner == "swallow":
                self.swallowed += len(data)
                return
            size = _TRICKLE if self._manner == "trickle" else len(data)
            sink.sendall(data[:size])
            data = data[size:]
            if data:
                time.sleep(_PAUSE)
