"""The routes that devices themselves call, over HTTPS by the fleet's own authority. Nothing here needs a login."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from edgefleet_contract import canonical, enrolment
from edgefleet_contract.errors import DeviceRevoked
from edgefleet_server.bodies import SmallBody
from edgefleet_server.devices import clones
from edgefleet_server.fleet import FleetHere
from edgefleet_server.rate_limits import origin_of

router = APIRouter()


@router.get(enrolment.AUTHORITY_PATH)
def authority(fleet: FleetHere) -> Response:
    """The fleet's certificate authority; a device believes it only if its hash is the one in its token."""
    return Response(fleet.authority.pem, media_type="application/x-pem-file")


@router.post(enrolment.ENROLL_PATH)
def enroll_device(fleet: FleetHere, request: Request, body: SmallBody) -> Response:
    """Turn a claim and a certificate signing request into an identity."""
    wanted = enrolment.decode_request(body)
    with fleet.database.read() as session:
        question = fleet.enroller.question(session, fleet.clock(), wanted)
    if question is not None:
        fleet.hooks.ask(question.hook, question.about)  # not within a transaction: it may take its time
    with fleet.change("device", origin_of(request)) as change:
        answer = fleet.enroller.enroll(change, wanted, agreed=question is not None)
    return Response(canonical.encode(answer), media_type="application/json")


@router.post(enrolment.RENEW_PATH)
def renew_certificate(fleet: FleetHere, request: Request, body: SmallBody) -> Response:
    """Give a device its next certificate, for a request that its present key has signed."""
    origin = origin_of(request)
    try:
        with fleet.change("device", origin) as change:
            answer = fleet.enroller.renewer.renew(change, body)
    except DeviceRevoked as error:
        with fleet.change("device", origin) as change:
            clones.suspect_after(change, error)
        raise
    return Response(canonical.encode(answer), media_type="application/json")
