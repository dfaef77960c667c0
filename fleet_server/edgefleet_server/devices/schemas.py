"""What the API says of devices and tokens."""

from __future__ import annotations

from pydantic import BaseModel, Field

from edgefleet_server.devices import tokens
from edgefleet_server.devices.models import Device

TAGS = 64  # at most, in one request


class TokenRequest(BaseModel):
    """Asks for a claim token.

    Attributes:
        life_ms: How long it may be used.
        tags: For the device that will use it.
    """

    life_ms: int = tokens.DEFAULT_LIFE
    tags: dict[str, str] = Field(default_factory=dict, max_length=TAGS)


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
        state: As reported: idle, downloading, verifying, trial, confirmed, reverted, failed, rejected.
        running: Digest of the bundle that serves inference.
        release: NAME@VERSION of that bundle; None when it is not known here.
        desired: Digest that it is assigned; None when nothing is.
        sequence: Of the assignment in force; ``reported_sequence`` is the one that it speaks of.
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
    error: ErrorSchema | None


def device_schema(device: Device, releases: dict[str, str], desired: dict[str, str | None]) -> DeviceSchema:
    """Describe a device.

    Args:
        device: The device.
        releases: NAME@VERSION by digest.
        desired: Assigned digest by device.
    """
    twin = device.twin
    return DeviceSchema(
        id=device.id,
        hardware=device.hardware,
        tags={tag.key: tag.value for tag in device.tags},
        state=twin.state,
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
        error=ErrorSchema(code=twin.error_code, text=twin.error_text or "") if twin.error_code else None,
    )
