"""Asks a running agent over its loopback address or Unix socket."""

from __future__ import annotations

import http.client
import socket
import urllib.parse
from http import HTTPStatus
from types import TracebackType

import msgspec

from edgefleet_agent.folder import RunningAgent
from edgefleet_contract.errors import AgentUnreachable, DataMalformed, EdgefleetError, InferenceFailed

_TIMEOUT_S = 120.0


class AgentClient:
    """Requests to one agent, over one connection.

    Args:
        agent: As the lock file names it.
    """

    def __init__(self, agent: RunningAgent) -> None:
        self._agent = agent
        if agent.serving.startswith("unix:"):
            self._connection: http.client.HTTPConnection = _UnixConnection(agent.serving.removeprefix("unix:"))
        else:
            parts = urllib.parse.urlsplit(agent.serving)
            self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)

    def __enter__(self) -> AgentClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def status(self) -> dict[str, object]:
        """How it is.

        Raises:
            AgentUnreachable: It does not answer.
        """
        return msgspec.json.decode(self._ask("GET", "/edgefleet/v1/status", b""), type=dict[str, object])

    def infer(self, name: str, body: bytes) -> bytes:
        """The response body to an Open Inference Protocol request for the model ``name``.

        Raises:
            AgentUnreachable: It does not answer.
            DataMalformed: The request is not what the model takes.
            InferenceFailed: The model failed.
        """
        return self._ask("POST", f"/v2/models/{urllib.parse.quote(name)}/infer", body)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _ask(self, method: str, path: str, body: bytes) -> bytes:
        try:
            self._connection.request(method, path, body)
            response = self._connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException) as cause:
            self.close()
            raise AgentUnreachable(
                f"The agent at {self._agent.serving!r} does not answer: {cause}",
                remedy="Start it with `edgefleet-agent run`.",
            ) from cause
        if response.status == HTTPStatus.OK:
            return data
        raise _failure(response.status, data)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _failure(status: int, body: bytes) -> EdgefleetError:
    try:
        text = str(msgspec.json.decode(body, type=dict[str, object])["error"])
    except (msgspec.DecodeError, KeyError):
        text = f"The agent answers with HTTP status {status}"
    return DataMalformed(text) if status < HTTPStatus.INTERNAL_SERVER_ERROR else InferenceFailed(text)
