"""Certificates, revocations, batches, replaced and retired devices."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from cryptography import x509

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply. The way back is the copy of the data folder that was made before."""
    _widen_devices()
    op.add_column("device_boots", sa.Column("returns", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    op.add_column("claim_tokens", sa.Column("bound_to", sa.String(length=18), nullable=True))
    certificates = op.create_table(
        "certificates",
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("device_id", sa.String(length=18), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name=op.f("fk_certificates_device_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_certificates")),
    )
    op.create_index(op.f("ix_certificates_device_id"), "certificates", ["device_id"], unique=False)
    op.create_index(op.f("ix_certificates_revoked_at"), "certificates", ["revoked_at"], unique=False)
    issued = [
        _certificate(*row) for row in op.get_bind().execute(sa.text("SELECT id, public_key, certificate FROM devices"))
    ]
    if issued:
        op.bulk_insert(certificates, issued)
    _add_batches()


def _widen_devices() -> None:
    for column in (
        sa.Column("previous_key", sa.Text(), nullable=True),
        sa.Column("key_in_hardware", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("fingerprint", sa.JSON(), nullable=False, server_default=sa.text("'{}'")),
        sa.Column("heard_boot", sa.String(length=64), nullable=True),
        sa.Column("standing", sa.String(length=16), nullable=False, server_default="active"),
        sa.Column("left_at", sa.BigInteger(), nullable=True),
        sa.Column("replaced_by", sa.String(length=18), nullable=True),
        sa.Column("cleared_at", sa.BigInteger(), nullable=True),
    ):
        op.add_column("devices", column)
    op.create_index(op.f("ix_devices_standing"), "devices", ["standing"], unique=False)


def _add_batches() -> None:
    op.create_table(
        "claim_batches",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("hook", sa.String(length=64), nullable=True),
        sa.Column("has_allow_list", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_claim_batches")),
        sa.UniqueConstraint("key", name=op.f("uq_claim_batches_key")),
        sa.UniqueConstraint("name", name=op.f("uq_claim_batches_name")),
    )
    op.create_table(
        "batch_places",
        sa.Column("batch_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("hardware", sa.String(length=64), nullable=False),
        sa.Column("device_id", sa.String(length=18), nullable=True),
        sa.Column("csr_key", sa.Text(), nullable=True),
        sa.Column("taken_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["claim_batches.id"], name=op.f("fk_batch_places_batch_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("batch_id", "hardware", name=op.f("pk_batch_places")),
    )


def _certificate(device: str, public_key: str, pem: str) -> dict[str, object]:
    """The row of the one certificate that a device has had so far."""
    certificate = x509.load_pem_x509_certificate(pem.encode())
    return {
        "serial": f"{certificate.serial_number:x}",
        "device_id": device,
        "key": public_key,
        "issued_at": _milliseconds(certificate.not_valid_before_utc),
        "expires": _milliseconds(certificate.not_valid_after_utc),
    }


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)
