"""Operators' routes of blobs and releases."""

from __future__ import annotations

from anyio import to_thread
from fastapi import APIRouter, Request

from edgefleet_contract import identifiers
from edgefleet_contract.bundle import BUNDLE_LIMIT
from edgefleet_contract.errors import NotFound, UsageMalformed
from edgefleet_server.auth import OperatorRole, Viewer
from edgefleet_server.bodies import MetadataBody, SmallBody, stream_to
from edgefleet_server.fleet import Fleet, FleetHere
from edgefleet_server.releases import service
from edgefleet_server.releases.models import Blob
from edgefleet_server.releases.schemas import BlobSchema, ReleaseSchema, release_schema
from edgefleet_server.trust import service as trust
from edgefleet_server.trust.repository import split_name
from edgefleet_server.trust.schemas import decode_upload

router = APIRouter(prefix="/api/v1", tags=["releases"])


@router.get("/blobs/{sha256}")
def show_blob(fleet: FleetHere, _viewer: Viewer, sha256: str) -> BlobSchema:
    """Whether a file has been uploaded."""
    with fleet.database.read() as session:
        blob = session.get(Blob, sha256)
        if blob is None or fleet.blobs.size(sha256) != blob.size:  # what the disk has lost may be sent again
            raise NotFound(f"There is no blob {sha256!r}")
        return BlobSchema(sha256=blob.sha256, bytes=blob.size)


@router.put("/blobs/{sha256}", status_code=201)
async def put_blob(fleet: FleetHere, _operator: OperatorRole, request: Request, sha256: str) -> BlobSchema:
    """Upload a file under the SHA-256 of its contents."""
    if not identifiers.is_digest(sha256):
        raise UsageMalformed(f"The blob's name is {sha256!r}", expected="a SHA-256 in lower-case hexadecimal")
    with fleet.blobs.receive(sha256, BUNDLE_LIMIT) as writer:
        await stream_to(request, writer)
    await to_thread.run_sync(_remember, fleet, sha256, writer.size)
    return BlobSchema(sha256=sha256, bytes=writer.size)


@router.put("/blobs/{sha256}/key", status_code=201)
def put_content_key(fleet: FleetHere, operator: OperatorRole, sha256: str, key: SmallBody) -> BlobSchema:
    """Upload the content key (32 bytes) of a sealed file that has been uploaded. It is never given back."""
    with fleet.change(operator) as change:
        blob = change.session.get(Blob, sha256)
        if blob is None:
            raise NotFound(f"There is no blob {sha256!r}")
        if fleet.content_keys.put(sha256, key):
            change.record("content_key.stored", sha256=sha256)
        return BlobSchema(sha256=blob.sha256, bytes=blob.size)


@router.post("/releases", status_code=201)
def push_release(fleet: FleetHere, operator: OperatorRole, body: MetadataBody) -> ReleaseSchema:
    """Release bundles that have been uploaded: JSON ``{"release": NAME@VERSION, "metadata": {NAME: TEXT}}``."""
    upload = decode_upload(body)
    if upload.release is None:
        raise UsageMalformed("The upload names no release", expected="its NAME@VERSION")
    roots = [name for name in upload.metadata if split_name(name)[0] == "root"]
    if roots:
        raise UsageMalformed(
            f"The upload of {upload.release} holds {roots[0]}, and a release changes no key",
            expected="the root by itself, from whoever may change keys: `edgefleet key rotate`, `key send`",
        )
    with fleet.change(operator) as change:
        repository = trust.take(change, fleet.online_keys, upload.files())
        answer = release_schema(
            change.session, service.push(change, repository, upload.release, fleet.blobs, fleet.content_keys)
        )
    fleet.wake_all()
    return answer


@router.get("/releases")
def list_releases(fleet: FleetHere, _viewer: Viewer) -> list[ReleaseSchema]:
    """All releases, the newest first."""
    with fleet.database.read() as session:
        return [release_schema(session, release) for release in service.releases(session)]


@router.get("/releases/{label}")
def show_release(fleet: FleetHere, _viewer: Viewer, label: str) -> ReleaseSchema:
    """The release NAME@VERSION."""
    with fleet.database.read() as session:
        return release_schema(session, service.release(session, label))


def _remember(fleet: Fleet, sha256: str, size: int) -> None:
    with fleet.database.write() as session:
        service.add_blob(session, fleet.clock(), sha256, size)
