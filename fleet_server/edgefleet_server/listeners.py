"""HTTP listeners: one uvicorn a thread, on sockets that are bound before anything else starts."""

from __future__ import annotations

import errno
import socket
import ssl
import threading
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from edgefleet_contract.errors import UsageMalformed

_BACKLOG = 2048


def bind(host: str, port: int, option: str) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        UsageMalformed: The address is not ours, or is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind(address)
            found.listen(_BACKLOG)
        except OSError:
            found.close()
            raise
    except OSError as cause:
        taken = cause.errno == errno.EADDRINUSE
        raise UsageMalformed(
            f"The server cannot listen on {host}:{port}: {cause.strerror}",
            remedy=f"Choose another port with {option}." if taken else "Check --host.",
        ) from cause
    return found


def check_certificate(certificate: Path, key: Path) -> None:
    """Refuse a certificate for the console that TLS could not be served with.

    Raises:
        UsageMalformed: A file cannot be read, is no PEM, or the key is another's.
    """
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, lambda: "")
    except OSError as cause:  # ssl.SSLError is one; of a key with a password too, for nobody is asked for it
        raise UsageMalformed(
            f"The console's certificate {str(certificate)!r} with the key {str(key)!r} cannot be used: "
            f"{cause.strerror or cause}",
            expected="PEM files of a certificate and of its private key, without a password",
        ) from cause


class Listener:
    """Serves an application on a bound socket."""

    def __init__(
        self, app: FastAPI, bound: socket.socket, *, certificate: Path | None = None, key: Path | None = None
    ) -> None:
        self._bound = bound
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="off",
                http="h11",  # bounds the headers, which httptools does not
                ws="none",
                proxy_headers=False,  # anybody may write X-Forwarded-For; the audit log tells the address that called
                timeout_graceful_shutdown=5,
                ssl_certfile=str(certificate) if certificate else None,
                ssl_keyfile=str(key) if key else None,
            )
        )
        self._thread = threading.Thread(target=self._server.run, args=([bound],), daemon=True)

    def start(self) -> None:
        """Serve, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Let requests at hand finish, then close."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._bound.close()
