"""Enrolment: a claim and a certificate signing request become a device with an identity.

A claim is a token, for one new device or for one that returns, or the signature of a batch's claim key.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import msgspec
from sqlalchemy.orm import Session

from edgefleet_contract import canonical, dsse, enrolment, identifiers, keys
from edgefleet_contract.enrolment import BrokerAddress, EnrollRequest, EnrollResponse, KeyProof
from edgefleet_contract.errors import Conflict, DeviceRevoked, IdentityMismatch, StatementMalformed, TokenRefused
from edgefleet_server.audit.change import Change
from edgefleet_server.authority import Authority, key_of_request
from edgefleet_server.devices import adoption, batch_claims, service, tokens
from edgefleet_server.devices.models import ACTIVE, ClaimToken, Device, Tag, Twin
from edgefleet_server.devices.renewal import Renewer
from edgefleet_server.devices.texts import check_fingerprint, check_texts
from edgefleet_server.trust import service as trust


@dataclass(frozen=True)
class Enroller:
    """Enrolls devices in one fleet.

    Attributes:
        authority: Issues their certificates.
        broker: Where they will find the broker.
        renewer: Issues certificates to devices that exist.
    """

    authority: Authority
    broker: BrokerAddress
    renewer: Renewer

    def question(self, session: Session, now: int, request: EnrollRequest) -> batch_claims.Question | None:
        """What the operator's hook is to be asked before :meth:`enroll`; None where nobody is. Raises as that."""
        if not request.claim:
            return None
        return batch_claims.question(session, now, request, keys.public_text(key_of_request(request.csr)))

    def enroll(self, change: Change, request: EnrollRequest, *, agreed: bool = False) -> EnrollResponse:
        """Enroll a device, or answer again a device that lost the answer.

        Args:
            change: Its actor is replaced by the device.
            request: The device's.
            agreed: Whether the operator's hook has agreed, where there is one.

        Raises:
            TokenRefused: The token may not be used for this request.
            BatchRefused: The batch does not take this device in.
            DeviceRevoked: The device that wants to return has left the fleet.
            StatementMalformed, SignatureInvalid: The request is not well-formed, or not signed as it says.
            Conflict: This server has no trust root to hand on.
            IdentityMismatch: It has another one than the claim names.
        """
        check_texts(request.hardware, request.agent, request.runtimes)
        check_fingerprint(request.fingerprint)
        public_key = key_of_request(request.csr)
        if request.claim:
            device = self._by_batch(change, request, keys.public_text(public_key), agreed=agreed)
        else:
            device = self._by_token(change, request, keys.public_text(public_key))
        if device.standing != ACTIVE:
            raise DeviceRevoked(f"The device {device.id}, which this claim was for, is {device.standing}")
        root = _trust_root(change.session, request.root)
        return EnrollResponse(
            v=enrolment.VERSION,
            device=device.id,
            certificate=device.certificate,
            authority=self.authority.pem,
            root=base64.b64encode(root).decode(),
            broker=self.broker,
        )

    def _by_token(self, change: Change, request: EnrollRequest, csr_key: str) -> Device:
        token = tokens.check(change.session, change.now, request.token_id, request.secret, csr_key)
        if token.used_at is not None and token.device_id is not None:
            return service.device(change.session, token.device_id)  # it lost the answer
        if token.bound_to is not None:
            device = self._let_back(change, request, token)
        else:
            device = self._add(change, request, token.tags)
            act = change.by(device.id)
            act.record("device.enrolled", device=device.id, hardware=request.hardware, token=token.id)
        token.used_at, token.csr_key, token.device_id = change.now, csr_key, device.id
        return device

    def _by_batch(self, change: Change, request: EnrollRequest, csr_key: str, *, agreed: bool) -> Device:
        place = batch_claims.check(change.session, change.now, request, csr_key, agreed=agreed)
        if place.row.device_id is not None:
            return service.device(change.session, place.row.device_id)  # it lost the answer
        device = self._add(change, request, place.batch.tags)
        batch_claims.take(change.session, change.now, place, device.id, csr_key)
        act = change.by(device.id)
        act.record("device.enrolled", device=device.id, hardware=request.hardware, batch=place.batch.name)
        return device

    def _add(self, change: Change, request: EnrollRequest, tags: dict[str, str]) -> Device:
        public_key = key_of_request(request.csr)
        held = _held_identity(request)
        device = Device(
            id=identifiers.new_device_id(),
            hardware=request.hardware,
            public_key=held or keys.public_text(public_key),
            key_in_hardware=held is not None,
            fingerprint=msgspec.to_builtins(request.fingerprint),
            enrolled_at=change.now,
            sequence=0,
            standing=ACTIVE,
            tags=[Tag(key=key, value=value) for key, value in tags.items()],
            twin=Twin(n=0, sequence=0, state="idle", confirmed=[], agent=request.agent, runtimes=request.runtimes),
        )
        self.renewer.issue_first(change.session, change.now, device, public_key)
        return device

    def _let_back(self, change: Change, request: EnrollRequest, token: ClaimToken) -> Device:
        """A fresh certificate for a device that the operator lets back in, and that proves to be it."""
        assert token.bound_to is not None
        device = service.device(change.session, token.bound_to)
        if not request.proof:
            raise TokenRefused(
                f"The claim token {token.id} lets device {device.id} back in, and this request is of a new device",
                remedy="On that device, with its data folder: `edgefleet-agent enroll --again`.",
                token=token.id,
            )
        signed = adoption.open_proof(change, device, request, self.authority)
        _check_binds(enrolment.decode(signed.payload, KeyProof), request)
        act = change.by(device.id)
        self.renewer.issue(act, device, key_of_request(request.csr))
        device.fingerprint = msgspec.to_builtins(request.fingerprint)
        act.record("device.enrolled_again", device=device.id, token=token.id)
        return device


def _trust_root(session: Session, digest: str) -> bytes:
    """The root that the claim names, whatever newer ones there are: it is what the operator's machine had."""
    if trust.newest_root(session) is None:
        raise Conflict("This server has no trust root yet", remedy="Make a token with `edgefleet device token`.")
    root = trust.root_by_digest(session, digest)
    if root is None:
        raise IdentityMismatch(
            f"The claim names the trust root {digest[:16]}, which this server does not have",
            remedy="Make the claim with a machine that has this fleet's keys.",
        )
    return root


def _held_identity(request: EnrollRequest) -> str | None:
    """The identity key that stays in hardware, if the request has one that vouches for its CSR."""
    if not request.proof:
        return None
    opened = canonical.decode(
        request.proof.encode(), dsse.Envelope, what="key proof", limit=dsse.ENVELOPE_LIMIT, error=StatementMalformed
    )
    claimed = enrolment.decode(dsse.unverified_payload(opened), KeyProof)  # names the key to verify it with
    key = keys.public_from_text(claimed.public_key)
    dsse.verify(request.proof.encode(), dsse.KEY_PROOF, {keys.key_id(key): key})
    _check_binds(claimed, request)
    return keys.public_text(key)


def _check_binds(proven: KeyProof, request: EnrollRequest) -> None:
    if (proven.csr_sha256, proven.token_id) != (canonical.sha256(request.csr.encode()), request.token_id):
        raise StatementMalformed("The key proof vouches for another request", expected="one for this CSR and token")
