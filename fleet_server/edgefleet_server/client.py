"""The operator's side of the HTTP API: finds the server and the token, and gives errors back as what they were."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from edgefleet_contract.errors import EdgefleetError, NotFound, ServerUnreachable, Unauthorized, revive
from edgefleet_server.addresses import console_of
from edgefleet_server.client_token import address, token_for
from edgefleet_server.home import default_data

DEFAULT_URL = "http://127.0.0.1:8080"
_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_UPLOAD_TIMEOUT = httpx.Timeout(600.0, connect=5.0)
_CHUNK = 1 << 20  # bytes


class Client:
    """A session with a fleet server.

    Args:
        url: Of the console; None takes EDGEFLEET_SERVER, else where the server of ``data`` last was, else the default.
        data: Data folder of a server on this machine, for its address and its token; None takes EDGEFLEET_DATA, else
            ``$EDGEFLEET_HOME/server``. EDGEFLEET_TOKEN goes before the token found there, for that server only.

    Raises:
        UsageMalformed: The address is none, or the token would cross a network in the clear.
        Unauthorized: The token cannot be read.
    """

    def __init__(self, url: str | None = None, data: Path | None = None) -> None:
        data = data or default_data()
        self.url = url or os.environ.get("EDGEFLEET_SERVER") or console_of(data) or DEFAULT_URL
        self._token = token_for(address(self.url), data)
        headers = {"Authorization": f"Bearer {self._token.text}"} if self._token.text else {}
        # A console with its own TLS may have a certificate of a private authority: SSL_CERT_FILE names it.
        self._http = httpx.Client(
            base_url=f"{self.url.rstrip('/')}/api/v1",
            headers=headers,
            timeout=_TIMEOUT,
            verify=ssl.create_default_context(),
            trust_env=False,
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, **query: object) -> Any:
        """The JSON of a GET."""
        return self._request("GET", path, params={key: str(value) for key, value in query.items() if value is not None})

    def post(self, path: str, body: object = None) -> Any:
        """The JSON of a POST with a JSON body."""
        return self._request("POST", path, json=body)

    def patch(self, path: str, body: object) -> Any:
        """The JSON of a PATCH with a JSON body."""
        return self._request("PATCH", path, json=body)

    def content(self, path: str) -> bytes:
        """The body of a GET, as it is."""
        return self._answer("GET", path).content

    def put(self, path: str, body: object) -> Any:
        """The JSON of a PUT with a JSON body."""
        return self._request("PUT", path, json=body)

    def delete(self, path: str) -> Any:
        """The JSON of a DELETE."""
        return self._request("DELETE", path)

    def send(self, method: str, path: str, content: bytes) -> Any:
        """The JSON of a request whose body is exactly ``content``."""
        return self._request(method, path, content=content)

    def upload(self, sha256: str, path: Path) -> bool:
        """Upload a file under its hash, unless it is there; returns whether it was sent."""
        try:
            self.get(f"/blobs/{sha256}")
        except NotFound:
            self._request("PUT", f"/blobs/{sha256}", content=_chunks(path), timeout=_UPLOAD_TIMEOUT)
            return True
        return False

    def _request(self, method: str, path: str, **options: Any) -> Any:
        return self._answer(method, path, **options).json()

    def _answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **options)
        except (httpx.TransportError, httpx.InvalidURL) as cause:
            raise ServerUnreachable(
                f"The fleet server at {self.url} does not answer: {cause}",
                remedy="Start it with `edgefleet server run`, or name it with --server or EDGEFLEET_SERVER.",
                url=self.url,
            ) from cause
        if response.is_success:
            return response
        error = _as_error(response)
        if isinstance(error, Unauthorized) and self._token.withheld:
            raise Unauthorized(
                f"No token was sent to {self.url}: {self._token.withheld}",
                remedy="Set EDGEFLEET_TOKEN to a token of this server, or leave --server and EDGEFLEET_SERVER out.",
            )
        raise error


def _as_error(response: httpx.Response) -> EdgefleetError:
    try:
        return revive(response.json()["error"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return ServerUnreachable(
            f"{response.request.url} answered with status {response.status_code}, and not as a fleet server does",
            remedy="Check --server: something else may listen there.",
        )


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
