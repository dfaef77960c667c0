"""What the API says of devices and tokens."""

from __future__ import annotations

from pydantic import BaseModel, Field

from edgefleet_server.devices import batches, tokens
from edgefleet_server.devices.lifecycle import Departure
from edgefleet_server.devices.models import ACTIVE, ClaimBatch, Device

TAGS = 64  # at most, in one request


class TokenRequest(BaseModel):
    """Asks for a claim token.

    Attributes:
        life_ms: How long it may be used.
        tags: For the device that will use it.
        device: An enrolled device that gets a certificate again with it; None for a new device.
    """

    life_ms: int = tokens.DEFAULT_LIFE
    tags: dict[str, str] = Field(default_factory=dict, max_length=TAGS)
    device: str | None = None


class TokenParts(BaseModel):
    """What a claim token is composed of, on the operator's machine, with the root that it knows.

    Attributes:
        authority: SHA-256 of the DER certificate of the fleet's authority.
        devices_url: Where the device enrolls.
    """

    id: str
    secret: str
    authority: str
    devices_url: str
    expires_at: int


class BatchCreation(BaseModel):
    """Asks for a batch: see ``batches.BatchRequest``."""

    name: str
    csr: str
    count: int
    life_ms: int
    tags: dict[str, str] = Field(default_factory=dict, max_length=TAGS)
    allow: list[str] | None = Field(default=None, max_length=batches.MAX_COUNT)
    hook: str | None = None


class BatchSchema(BaseModel):
    """A batch; ``taken`` of its ``count`` places are taken."""

    name: str
    count: int
    taken: int
    tags: dict[str, str]
    hook: str | None
    has_allow_list: bool
    created_at: int
    expires_at: int
    closed_at: int | None


class BatchCreated(BatchSchema):
    """A new batch, with what its devices are given.

    Attributes:
        certificate: The claim certificate, PEM.
        authority: SHA-256 of the DER certificate of the fleet's authority.
        devices_url: Where the devices enroll.
    """

    certificate: str
    authority: str
    devices_url: str


def batch_schema(batch: ClaimBatch, taken: int) -> BatchSchema:
    """Describe a batch."""
    return BatchSchema(
        name=batch.name,
        count=batch.count,
        taken=taken,
        tags=batch.tags,
        hook=batch.hook,
        has_allow_list=batch.has_allow_list,
        created_at=batch.created_at,
        expires_at=batch.expires_at,
        closed_at=batch.closed_at,
    )


class Replacement(BaseModel):
    """Names the device that takes over."""

    by: str


class DepartureSchema(BaseModel):
    """What an act on a device has done.

    Attributes:
        changed: Whether anything was left to do.
        erased: Rows removed, by what they were.
        rollouts: Rollouts that now serve the device that took over.
    """

    device: str
    state: str
    changed: bool
    replaced_by: str | None
    erased: dict[str, int]
    rollouts: list[str]


def departure_schema(departure: Departure) -> DepartureSchema:
    """Describe what was done."""
    return DepartureSchema(
        device=departure.device.id,
        state=departure.device.standing,
        changed=departure.changed,
        replaced_by=departure.device.replaced_by,
        erased=departure.erased,
        rollouts=departure.rollouts,
    )


class TagChange(BaseModel):
    """Sets and removes tags."""

    put: dict[str, str] = Field(default_factory=dict, max_length=TAGS)
    remove: list[str] = Field(default_factory=list, max_length=TAGS)


class ErrorSchema(BaseModel):
    """Why something did not go well."""

    code: str
    text: str


class DeviceSchema(BaseModel):
    """A device and what it last reported. Times are UTC milliseconds of the server's clock.

    Attributes:
        state: As reported: idle, downloading, verifying, trial, confirmed, reverted, failed, rejected; of a device
            that has left the fleet: revoked or retired.
        running: Digest of the bundle that serves inference.
        release: NAME@VERSION of that bundle; None when it is not known here.
        desired: Digest that it is assigned; None when nothing is.
        sequence: Of the assignment in force; ``reported_sequence`` is the one that it speaks of.
        key_in_hardware: Whether its identity key stays in hardware.
        fingerprint: Hashes of what its hardware is known by: machine, serial, network; without those it has not.
        left_at: When it left the fleet.
        replaced_by, replaces: The devices after and before it, where one took the other's place.
    """

    id: str
    hardware: str
    tags: dict[str, str]
    state: str
    running: str | None
    release: str | None
    confirmed: list[str]
    desired: str | None
    sequence: int
    reported_sequence: int
    agent: str
    runtimes: dict[str, str]
    enrolled_at: int
    last_seen: int | None
    certificate_expires: int
    key_in_hardware: bool
    fingerprint: dict[str, str]
    left_at: int | None
    replaced_by: str | None
    replaces: str | None
    error: ErrorSchema | None


def device_schema(
    device: Device, releases: dict[str, str], desired: dict[str, str | None], replaced: dict[str, str]
) -> DeviceSchema:
    """Describe a device.

    Args:
        device: The device.
        releases: NAME@VERSION by digest.
        desired: Assigned digest by device.
        replaced: The device before it, by device.
    """
    twin = device.twin
    return DeviceSchema(
        id=device.id,
        hardware=device.hardware,
        tags={tag.key: tag.value for tag in device.tags},
        state=twin.state if device.standing == ACTIVE else device.standing,
        running=twin.running,
        release=releases.get(twin.running or ""),
        confirmed=twin.confirmed,
        desired=desired.get(device.id),
        sequence=device.sequence,
        reported_sequence=twin.sequence,
        agent=twin.agent,
        runtimes=twin.runtimes,
        enrolled_at=device.enrolled_at,
        last_seen=device.last_seen,
        certificate_expires=device.certificate_expires,
        key_in_hardware=device.key_in_hardware,
        fingerprint={name: part for name, part in device.fingerprint.items() if part},
        left_at=device.left_at,
        replaced_by=device.replaced_by,
        replaces=replaced.get(device.id),
        error=ErrorSchema(code=twin.error_code, text=twin.error_text or "") if twin.error_code else None,
    )
