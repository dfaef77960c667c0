"""Tables of samples and their pieces."""

from __future__ import annotations

from sqlalchemy import ForeignKey, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from edgefleet_server.db import Base, Identity


class Sample(Base):
    """A sealed sample of a device, whole or on its way.

    Attributes:
        sha256: Of the sealed sample: what the device calls it.
        digest: The bundle whose consent lets it be kept.
        size: Of the whole, in bytes.
        arrived: How many pieces are here.
        taken_at: The device's clock says so, in UTC milliseconds; None until the sample is whole.
        received_at: When its first piece came.
        complete_at: When its last piece came; None until then.
        expires_at: When it is deleted, by the consent.
        recipient: Key id of whoever can open it; None until the sample is whole.
    """

    __tablename__ = "samples"
    __table_args__ = (UniqueConstraint("device_id", "sha256"),)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"))
    sha256: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))
    size: Mapped[int]
    arrived: Mapped[int] = mapped_column(default=0)
    taken_at: Mapped[int | None]
    received_at: Mapped[int] = mapped_column(index=True)
    complete_at: Mapped[int | None]
    expires_at: Mapped[int] = mapped_column(index=True)
    recipient: Mapped[str | None] = mapped_column(String(64))


class SamplePiece(Base):
    """A piece of a sealed sample."""

    __tablename__ = "sample_pieces"

    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id", ondelete="CASCADE"), primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)
