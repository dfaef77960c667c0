"""Tables of blobs and releases."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from edgefleet_server.db import Base, Identity


class Blob(Base):
    """A file of the blob folder that is there, whole and durable."""

    __tablename__ = "blobs"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    size: Mapped[int]
    stored_at: Mapped[int]


class Release(Base):
    """A release that the publisher's metadata speak of.

    Attributes:
        issued: UTC milliseconds, as the publisher says.
        withdrawn_at: When the publisher's metadata ceased to speak of it; None while they do.
    """

    __tablename__ = "releases"
    __table_args__ = (UniqueConstraint("name", "version"),)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    version: Mapped[str] = mapped_column(String(64))
    issued: Mapped[int]
    security_floor: Mapped[int]
    pushed_at: Mapped[int]
    withdrawn_at: Mapped[int | None]

    bundles: Mapped[list[ReleasedBundle]] = relationship(
        back_populates="release", order_by="ReleasedBundle.target", lazy="selectin"
    )

    @property
    def label(self) -> str:
        """How people name it."""
        return f"{self.name}@{self.version}"


class ReleasedBundle(Base):
    """One bundle of a release.

    Attributes:
        digest: The bundle's identity.
        sha256: Of the ``.efb`` file, which lies among the blobs.
        reference_sha256, vectors_sha256: Of the reference sketch and the labelled baseline vectors, which were copied
            out of the bundle into the blobs; None where the bundle has none.
        manifest: The exact bytes of the manifest.
        private: Whether the file is sealed.
    """

    __tablename__ = "released_bundles"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    release_id: Mapped[int] = mapped_column(ForeignKey("releases.id"), index=True)
    target: Mapped[str] = mapped_column(String(64))
    hardware: Mapped[list[Any]] = mapped_column(JSON)
    sha256: Mapped[str] = mapped_column(ForeignKey("blobs.sha256"))
    size: Mapped[int]
    reference_sha256: Mapped[str | None] = mapped_column(ForeignKey("blobs.sha256"))
    vectors_sha256: Mapped[str | None] = mapped_column(ForeignKey("blobs.sha256"))
    manifest: Mapped[bytes] = mapped_column(LargeBinary)
    private: Mapped[bool] = mapped_column(default=False)

    release: Mapped[Release] = relationship(back_populates="bundles", lazy="joined", innerjoin=True)
