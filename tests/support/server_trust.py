"""A device that judges what a server without a network would send it, by the contract's own code; and new keys."""

from __future__ import annotations

from edgefleet_contract import trust
from edgefleet_contract.trust.repository import target_path
from edgefleet_contract.trust.statements import Accepted
from edgefleet_server.devices.models import Device
from edgefleet_server.releases.models import ReleasedBundle
from edgefleet_server.rollouts.models import Assignment
from edgefleet_server.trust import permits
from edgefleet_server.trust import service as trust_service
from edgefleet_server.trust.server_keys import described
from support.server_device import Memory
from support.server_state import Inside, StandIn


class Judge:
    """The trust of one device: pinned at enrolment, and never forgotten."""

    def __init__(self, inside: Inside, device: StandIn) -> None:
        self._inside = inside
        self._device = device
        root = inside.publisher.repository().roots[-1]
        self.memory = Memory(trust.Pins(device.id, device.hardware, trust.SCHEME, root))

    def desired(self) -> tuple[bytes, bytes]:
        """Assignment and proof, as the server would publish them now."""
        now = self._inside.clock()
        with self._inside.database.read() as session:
            assignment = session.get_one(
                Assignment, (self._device.id, session.get_one(Device, self._device.id).sequence)
            )
            book = trust_service.proof_book(session)
            permit = permits.in_force(session, now).get((self._device.id, assignment.digest or ""))
            path = None
            if assignment.digest is not None:
                bundle = session.get_one(ReleasedBundle, assignment.digest)
                path = target_path(bundle.release.name, bundle.release.version, bundle.target)
        assert book is not None
        proof = book.proof(path, permit)
        assert proof is not None
        return assignment.envelope, proof

    def judges(self, assignment: bytes, proof: bytes) -> Accepted:
        """Accept what somebody sends, or raise."""
        return trust.accept(assignment, proof, self._inside.clock(), self.memory)

    def obeys(self) -> Accepted:
        """Accept what the server would send now, and confirm it."""
        accepted = self.judges(*self.desired())
        trust.confirm(accepted, self.memory)
        if accepted.assignment.digest is not None:
            self.memory.confirmed.append(accepted.assignment.digest)
        return accepted


def rotate(inside: Inside, *roles: str) -> None:
    """What ``edgefleet key rotate`` does."""
    base = inside.publisher.repository()
    online = [role for role in roles if role in ("online", "assignment")]
    fresh = {role: described(inside.online_keys.make(role).signer.public_key) for role in online}
    server = inside.online_keys.public(base.root).replaced(fresh)
    offline = [role for role in roles if role not in online]
    inside.take(inside.publisher.rotation(base, offline, server, online, inside.clock()))
    inside.engine.renew_assignments()
