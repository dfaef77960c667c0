"""Tables of devices, what they report, and the tokens they enroll with."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from edgefleet_server.db import Base


class Device(Base):
    """An enrolled device.

    Attributes:
        public_key: Of its certificate, as ``contract.keys`` writes it; its reports are verified with it.
        certificate: PEM, as issued; given again to a device that lost the answer.
        last_seen: UTC milliseconds of the last message; None before the first.
        sequence: Highest sequence assigned to it.
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
    """A life of an agent that has reported; a late message of an earlier life must not undo a newer one."""

    __tablename__ = "device_boots"

    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    boot: Mapped[str] = mapped_column(String(64), primary_key=True)
    first_seen: Mapped[int]


class ClaimToken(Base):
    """A claim token. Its secret is not kept.

    Attributes:
        secret_sha256: SHA-256 of the secret, which has 256 random bits of its own.
        tags: Given to the device that enrolls with it.
        used_at: When it was used; None before.
        csr_key: The public key that it was used for: the same one may ask again while the token lives.
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
