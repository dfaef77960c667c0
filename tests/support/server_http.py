"""An application behind a real listener on loopback, and a client for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from fastapi import FastAPI

from edgefleet_server.listeners import Listener, bind


@contextmanager
def served(app: FastAPI) -> Iterator[httpx.Client]:
    """Serve ``app``; the client follows no redirects and trusts no environment."""
    bound = bind("127.0.0.1", 0, "--port")
    listener = Listener(app, bound)
    listener.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{bound.getsockname()[1]}", trust_env=False, timeout=30) as client:
            yield client
    finally:
        listener.stop()
