"""The routes that devices themselves call, over HTTPS by the fleet's own authority. Nothing here needs a login."""

from __future__ import annotations

from fastapi import APIRouter, Response

from edgefleet_contract import canonical, enrolment
from edgefleet_server.bodies import SmallBody
from edgefleet_server.fleet import FleetHere

router = APIRouter()


@router.get(enrolment.AUTHORITY_PATH)
def authority(fleet: FleetHere) -> Response:
    """The fleet's certificate authority; a device believes it only if its hash is the one in its token."""
    return Response(fleet.authority.pem, media_type="application/x-pem-file")


@router.post(enrolment.ENROLL_PATH)
def enroll_device(fleet: FleetHere, body: SmallBody) -> Response:
    """Turn a claim token and a certificate signing request into an identity."""
    request = enrolment.decode_request(body)
    with fleet.database.write() as session:
        answer = fleet.enroller.enroll(session, fleet.clock(), request)
    return Response(canonical.encode(answer), media_type="application/json")
