"""The device listener of a real server, without a socket: what the agent asks is answered by the server's own code."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefleet_agent import claims, enrolment, renewal
from edgefleet_agent.disk import Disk
from edgefleet_agent.enrolment import Machine
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.identity import Card
from edgefleet_agent.listener import Server
from edgefleet_contract import canonical
from edgefleet_contract.enrolment import AUTHORITY_PATH, ENROLL_PATH, RENEW_PATH, decode_request
from edgefleet_contract.fingerprint import Fingerprint, hashed
from edgefleet_server.audit.change import Change
from support.server_state import Inside

HERE = Fingerprint(serial=hashed("serial", "board-1"))
SERVER = Server("https://fleet.test:8443", "fleet.test", 8443)


class DeviceListener:
    """Stands at the place of ``listener.exchange``; requests and answers are real."""

    def __init__(self, inside: Inside, patch: pytest.MonkeyPatch) -> None:
        self.inside = inside
        self.lose_answers = 0
        for module in (enrolment, renewal):
            patch.setattr(module, "exchange", self)

    def __call__(self, _server: Server, _context: object, _method: str, path: str, body: bytes | None) -> bytes:
        if path == AUTHORITY_PATH:
            return self.inside.authority.pem.encode()
        assert body is not None
        answer = {ENROLL_PATH: self._enroll, RENEW_PATH: self.renew}[path](body)
        if self.lose_answers:
            self.lose_answers -= 1
            raise ConnectionResetError("the line went dead")
        return answer

    def _enroll(self, body: bytes) -> bytes:
        return canonical.encode(self.inside.enroll(decode_request(body)))

    def renew(self, envelope: bytes) -> bytes:
        with self.inside.fleet.change("device") as change:
            return self.renew_in(change, envelope)

    def renew_in(self, change: Change, envelope: bytes) -> bytes:
        """Renew in a transaction of the caller's."""
        return canonical.encode(self.inside.enroller.renewer.renew(change, envelope))

    def device(self, path: Path, key: str = "file") -> tuple[DataFolder, Card]:
        """Enroll an agent's folder."""
        folder = DataFolder(path)
        claim = claims.of_token(self.inside.token())
        machine = Machine("x86-64", {}, HERE)
        return folder, enrolment.enroll(folder, Disk(), server=SERVER, claim=claim, machine=machine, key=key)
