"""Operators' routes of the trust repository and of permits."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from sqlalchemy.orm import Session

from edgefleet_contract import canonical
from edgefleet_contract.errors import NotFound
from edgefleet_server.auth import Admin, Approver, OperatorRole, Viewer
from edgefleet_server.bodies import MetadataBody, SmallBody
from edgefleet_server.fleet import Fleet, FleetHere
from edgefleet_server.releases import service as releases
from edgefleet_server.rollouts.assignments import Assigner
from edgefleet_server.trust import permits, service
from edgefleet_server.trust.models import DowngradePermit
from edgefleet_server.trust.schemas import FileSchema, PermitSchema, TrustSchema, decode_upload
from edgefleet_server.trust.server_keys import described

_READ = ["releases"]  # whoever may push releases looks at these
_CHANGE = ["trust"]  # and may yet change no key, nor permit a downgrade
router = APIRouter(prefix="/api/v1")


@router.get("/trust", tags=[*_READ])
def show_trust(fleet: FleetHere, _viewer: Viewer) -> TrustSchema:
    """The server's public keys, and which of the publisher's metadata it has."""
    with fleet.database.read() as session:
        return _schema(fleet, session)


@router.get("/trust/metadata/{name}", tags=[*_READ])
def show_metadata(fleet: FleetHere, _viewer: Viewer, name: str) -> FileSchema:
    """One metadata file of the publisher's."""
    with fleet.database.read() as session:
        data = service.repository(session).files().get(name)
    if data is None:
        raise NotFound(f"There is no metadata file {name!r}")
    return FileSchema(name=name, data=data.decode())


@router.put("/trust", tags=[*_CHANGE])
def put_metadata(fleet: FleetHere, operator: OperatorRole, body: MetadataBody) -> TrustSchema:
    """Take newer metadata of the publisher's: JSON ``{"metadata": {NAME: TEXT}}``, verified as devices verify it."""
    with fleet.change(operator) as change:
        service.take(change, fleet.online_keys, decode_upload(body).files())
        # In the same transaction: no device must be sent a root together with an assignment by a key that it replaces.
        Assigner(fleet.online_keys, fleet.content_keys, fleet.clock).renew(change.session)
        answer = _schema(fleet, change.session)
    fleet.wake_all()
    return answer


@router.post("/trust/keys/{role}", tags=[*_CHANGE], status_code=201)
def make_key(fleet: FleetHere, admin: Admin, role: Literal["online", "assignment"]) -> dict[str, object]:
    """Make a key of the server's own, which counts as soon as a root of the publisher's names it."""
    with fleet.change(admin) as change:
        made = described(fleet.online_keys.make(role).signer.public_key)
        change.record("trust.key_made", role=role, key=made["keyid"])
    return made


@router.get("/permits", tags=[*_READ])
def list_permits(fleet: FleetHere, _viewer: Viewer) -> list[PermitSchema]:
    """All permits for downgrades, the newest first."""
    with fleet.database.read() as session:
        states = permits.states(session, fleet.clock())
        return [_permit_schema(session, permit, states[permit.id]) for permit in permits.permits(session)]


@router.post("/permits", tags=[*_CHANGE], status_code=201)
def add_permit(fleet: FleetHere, approver: Approver, envelope: SmallBody) -> PermitSchema:
    """Take a permit that the publisher's targets keys signed."""
    with fleet.change(approver) as change:
        answer = _permit_schema(change.session, permits.add(change, envelope), "in force")
    fleet.wake_all()
    return answer


def _schema(fleet: Fleet, session: Session) -> TrustSchema:
    present = service.repository(session)
    public = fleet.online_keys.public(present.root if present.roots else None)
    return TrustSchema(
        root=present.root_digest,
        keys={"online": public.online, "assignment": public.assignment},
        files={name: canonical.sha256(data) for name, data in present.files().items()},
        version=service.version(session),
    )


def _permit_schema(session: Session, permit: DowngradePermit, state: str) -> PermitSchema:
    return PermitSchema(
        id=permit.id,
        release=releases.labels(session, {permit.digest}).get(permit.digest),
        digest=permit.digest,
        devices=permit.devices,
        expires=permit.expires,
        stored_at=permit.stored_at,
        state=state,
    )
