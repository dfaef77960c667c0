"""The operator's side of the HTTP API as a user: by name and password, where there is no token yet."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import httpx

from edgefleet_contract.errors import RateLimited, ServerUnreachable, Unauthorized, UsageMalformed
from edgefleet_server.client import Client
from edgefleet_server.config import is_loopback


class UserClient(Client):
    """A session with a fleet server, begun as the console's sign-in begins it and ended with this.

    Args:
        name: Of the user.
        password: Theirs.
        url: As in :class:`Client`.
        data: As there; its token is not used.

    Raises:
        UsageMalformed: The password would cross a network in the clear.
        Unauthorized: The name or the password is wrong.
        RateLimited: It was tried too often.
        ServerUnreachable: No fleet server answers.
    """

    def __init__(self, name: str, password: str, url: str | None = None, data: Path | None = None) -> None:
        super().__init__(url, data)
        self._http.headers.pop("Authorization", None)
        # A session counts for the console's own pages alone; whoever types a command is not led there by another site.
        self._http.headers["Origin"] = self.url.rstrip("/")
        try:
            self._sign_in(name, password)
        except BaseException:
            self._http.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._send_form("/sign-out", {})
        finally:
            super().__exit__(kind, error, trace)

    def _sign_in(self, name: str, password: str) -> None:
        if self._http.base_url.scheme == "http" and not is_loopback(self._http.base_url.host):
            raise UsageMalformed(
                f"The password would go to {self.url!r} in the clear, for everybody on the way to read",
                expected="an https:// address, or one of this machine",
            )
        answer = self._send_form("/sign-in", {"name": name, "password": password})
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise Unauthorized("The name or the password is wrong")
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise RateLimited("Signing in was tried too often", remedy="Wait a minute, then try again.")
        if answer.status_code != httpx.codes.SEE_OTHER:
            raise ServerUnreachable(
                f"{self.url} answered the sign-in with status {answer.status_code}, and not as a fleet server does",
                remedy="Check --server: something else may listen there.",
            )

    def _send_form(self, path: str, fields: dict[str, str]) -> httpx.Response:
        try:
            return self._http.post(f"{self.url.rstrip('/')}{path}", data=fields)
        except httpx.TransportError as cause:
            raise ServerUnreachable(
                f"The fleet server at {self.url} does not answer: {cause}",
                remedy="Start it with `edgefleet server run`, or name it with --server or EDGEFLEET_SERVER.",
                url=self.url,
            ) from cause
