"""Tables of metadata and permits."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from edgefleet_server.db import Base, Identity


class TrustMetadata(Base):
    """Metadata of a role: every version of the root, of all others the newest.

    Attributes:
        role: "root", "targets", "snapshot", "timestamp" or the name of a model.
        data: Exact bytes, as signed.
    """

    __tablename__ = "trust_metadata"

    role: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    stored_at: Mapped[int]


class DowngradePermit(Base):
    """A permit of the publisher's: these devices may go back to this bundle.

    Attributes:
        envelope: DSSE envelope, as signed.
        expires: UTC milliseconds.
    """

    __tablename__ = "permits"

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), index=True)
    devices: Mapped[list[Any]] = mapped_column(JSON)
    envelope: Mapped[bytes] = mapped_column(LargeBinary)
    expires: Mapped[int]
    stored_at: Mapped[int]
