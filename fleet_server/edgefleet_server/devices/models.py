"""Tables of devices, their certificates, what they report, and the tokens and batches they enroll with."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from edgefleet_server.db import Base, Identity

ACTIVE = "active"


class Device(Base):
    """An enrolled device. Its row stays when it leaves the fleet, so that its id never comes back.

    Attributes:
        public_key: The identity key, as ``contract.keys`` writes it; its reports are verified with it.
        previous_key: The key that a renewal has replaced; good until the device has used the new one.
        key_in_hardware: Whether the identity key stays in hardware, and certificates are for a key of TLS alone.
        certificate: PEM, as issued; given again to a device that lost the answer.
        last_seen: UTC milliseconds of the last message; None before the first.
        sequence: Highest sequence assigned to it.
        fingerprint: ``contract.fingerprint.Fingerprint`` of its hardware, as it was when it enrolled.
        heard_boot: The life of an agent that was heard last, late or not.
        standing: "active", "revoked" or "retired".
        left_at: When it stopped being active.
        replaced_by: The device that took its place.
        cleared_at: When the broker was told to forget what it retains for a device that left.
    """

    __tablename__ = "devices"

    id: Mapped[str] = mapped_column(String(18), primary_key=True)
    hardware: Mapped[str] = mapped_column(String(128))
    public_key: Mapped[str] = mapped_column(Text)
    certificate: Mapped[str] = mapped_column(Text)
    certificate_expires: Mapped[int]
    enrolled_at: Mapped[int]
    last_seen: Mapped[int | None] = mapped_column(index=True)
    sequence: Mapped[int] = mapped_column(default=0)
    previous_key: Mapped[str | None] = mapped_column(Text)
    key_in_hardware: Mapped[bool] = mapped_column(default=False)
    fingerprint: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    heard_boot: Mapped[str | None] = mapped_column(String(64))
    standing: Mapped[str] = mapped_column(String(16), default=ACTIVE, index=True)
    left_at: Mapped[int | None]
    replaced_by: Mapped[str | None] = mapped_column(String(18))
    cleared_at: Mapped[int | None]

    tags: Mapped[list[Tag]] = relationship(cascade="all, delete-orphan", order_by="Tag.key", lazy="selectin")
    twin: Mapped[Twin] = relationship(cascade="all, delete-orphan", lazy="joined", innerjoin=True)


class Tag(Base):
    """A label of a device, for groups."""

    __tablename__ = "device_tags"
    __table_args__ = (Index("ix_device_tags_key_value", "key", "value"),)

    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(String(128))


class Twin(Base):
    """The reported twin: the newest ``Reported`` of a device.

    Attributes:
        boot, n: Of that message; None and 0 before the first.
        sequence: The assignment that ``state`` speaks of, as the device says.
        confirmed: Digests in the device's slots, the newest first.
    """

    __tablename__ = "twins"

    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    boot: Mapped[str | None] = mapped_column(String(64))
    n: Mapped[int] = mapped_column(default=0)
    reported_at: Mapped[int | None]
    sequence: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(String(16), default="idle")
    running: Mapped[str | None] = mapped_column(String(64), index=True)
    confirmed: Mapped[list[Any]] = mapped_column(JSON, default=list)
    trial: Mapped[str | None] = mapped_column(String(64))
    agent: Mapped[str] = mapped_column(String(64), default="")
    runtimes: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_text: Mapped[str | None] = mapped_column(Text)


class Boot(Base):
    """A life of an agent that has reported; a late message of an earlier life must not undo a newer one.

    Attributes:
        returns: How often it was heard again after a newer life had been heard.
    """

    __tablename__ = "device_boots"

    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    boot: Mapped[str] = mapped_column(String(64), primary_key=True)
    first_seen: Mapped[int]
    returns: Mapped[int] = mapped_column(default=0)


class Certificate(Base):
    """A certificate that was issued to a device.

    Attributes:
        serial: Its number, in hexadecimal.
        key: The public key that it is for, as ``contract.keys`` writes it.
        revoked_at: When it was revoked; None while it is good.
    """

    __tablename__ = "certificates"

    serial: Mapped[str] = mapped_column(String(40), primary_key=True)
    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), index=True)
    key: Mapped[str] = mapped_column(Text)
    issued_at: Mapped[int]
    expires: Mapped[int]
    revoked_at: Mapped[int | None] = mapped_column(index=True)


class ClaimToken(Base):
    """A claim token. Its secret is not kept.

    Attributes:
        secret_sha256: SHA-256 of the secret, which has 256 random bits of its own.
        tags: Given to the device that enrolls with it.
        used_at: When it was used; None before.
        csr_key: The public key that it was used for: the same one may ask again while the token lives.
        bound_to: The enrolled device that alone may use it, to get a certificate again; None for a new device.
    """

    __tablename__ = "claim_tokens"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    secret_sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    tags: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    created_at: Mapped[int]
    expires_at: Mapped[int]
    used_at: Mapped[int | None]
    csr_key: Mapped[str | None] = mapped_column(Text)
    device_id: Mapped[str | None] = mapped_column(ForeignKey("devices.id", ondelete="SET NULL"))
    bound_to: Mapped[str | None] = mapped_column(String(18))


class ClaimBatch(Base):
    """Devices that enroll with one claim certificate, put on all of them at the factory.

    Attributes:
        key: The claim certificate's public key, as ``contract.keys`` writes it.
        count: How many devices may enroll at most.
        tags: Given to each of them.
        hook: Name of the program that is asked about each device; None without.
        has_allow_list: Whether only the devices of ``places`` may enroll.
        closed_at: When the operator closed it; None before.
    """

    __tablename__ = "claim_batches"

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    key: Mapped[str] = mapped_column(Text, unique=True)
    count: Mapped[int]
    tags: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    hook: Mapped[str | None] = mapped_column(String(64))
    has_allow_list: Mapped[bool]
    created_at: Mapped[int]
    expires_at: Mapped[int]
    closed_at: Mapped[int | None]


class BatchPlace(Base):
    """A place of a batch: reserved for a piece of hardware by the allow list, or taken by one.

    Attributes:
        hardware: The hash by which the hardware is known: of its serial number, or of its whole fingerprint.
        device_id: The device that took it; None while it is free. No foreign key: it is taken for good.
        csr_key: The public key that it was taken with: the same one may ask again.
    """

    __tablename__ = "batch_places"

    batch_id: Mapped[int] = mapped_column(ForeignKey("claim_batches.id", ondelete="CASCADE"), primary_key=True)
    hardware: Mapped[str] = mapped_column(String(64), primary_key=True)
    device_id: Mapped[str | None] = mapped_column(String(18))
    csr_key: Mapped[str | None] = mapped_column(Text)
    taken_at: Mapped[int | None]
