"""Enrolment: a claim token and a certificate signing request become a device with an identity."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from sqlalchemy.orm import Session

from edgefleet_contract import enrolment, identifiers, keys
from edgefleet_contract.enrolment import BrokerAddress, EnrollRequest, EnrollResponse
from edgefleet_contract.errors import Conflict, IdentityMismatch
from edgefleet_server.audit.change import Change
from edgefleet_server.authority import Authority, key_of_request
from edgefleet_server.devices import tokens
from edgefleet_server.devices.models import ClaimToken, Device, Tag, Twin
from edgefleet_server.devices.texts import check_texts
from edgefleet_server.trust import service as trust


@dataclass(frozen=True)
class Enroller:
    """Enrolls devices in one fleet.

    Attributes:
        authority: Issues their certificates.
        broker: Where they will find the broker.
    """

    authority: Authority
    broker: BrokerAddress

    def enroll(self, session: Session, now: int, request: EnrollRequest) -> EnrollResponse:
        """Enroll a device, or answer again a device that lost the answer.

        Raises:
            TokenRefused: The token may not be used for this request.
            StatementMalformed: The request is not well-formed.
            Conflict: This server has no trust root to hand on.
            IdentityMismatch: It has another one than the token names.
        """
        check_texts(request.hardware, request.agent, request.runtimes)
        public_key = key_of_request(request.csr)
        key_text = keys.public_text(public_key)
        token = tokens.check(session, now, request.token_id, request.secret, key_text)
        root = _trust_root(session, request.root)
        device = session.get(Device, token.device_id) if token.device_id else None
        if device is None:
            device = _new_device(request, key_text, token, now)
            device.certificate, device.certificate_expires = self.authority.issue_device(device.id, public_key)
            session.add(device)
            session.flush()
            token.used_at, token.csr_key, token.device_id = now, key_text, device.id
            Change(session, now, device.id).record(
                "device.enrolled", device=device.id, hardware=request.hardware, token=token.id
            )
        return EnrollResponse(
            v=enrolment.VERSION,
            device=device.id,
            certificate=device.certificate,
            authority=self.authority.pem,
            root=base64.b64encode(root).decode(),
            broker=self.broker,
        )


def _trust_root(session: Session, digest: str) -> bytes:
    """The root that the claim token names, whatever newer ones there are: it is what the operator's machine had."""
    if trust.newest_root(session) is None:
        raise Conflict("This server has no trust root yet", remedy="Make a token with `edgefleet device token`.")
    root = trust.root_by_digest(session, digest)
    if root is None:
        raise IdentityMismatch(
            f"The claim token names the trust root {digest[:16]}, which this server does not have",
            remedy="Make the token with a machine that has this fleet's keys.",
        )
    return root


def _new_device(request: EnrollRequest, key_text: str, token: ClaimToken, now: int) -> Device:
    return Device(
        id=identifiers.new_device_id(),
        hardware=request.hardware,
        public_key=key_text,
        enrolled_at=now,
        sequence=0,
        tags=[Tag(key=key, value=value) for key, value in token.tags.items()],
        twin=Twin(n=0, sequence=0, state="idle", confirmed=[], agent=request.agent, runtimes=request.runtimes),
    )
