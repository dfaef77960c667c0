"""The schema of 0001, with devices in it, brought up to date."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from cryptography import x509
from sqlalchemy import text

from edgefleet_contract import keys
from edgefleet_contract.identifiers import new_device_id
from edgefleet_server import migrate
from edgefleet_server.authority import Authority
from edgefleet_server.clock import system_clock
from edgefleet_server.db import Base, Database
from edgefleet_server.devices.models import Certificate, Device

DEVICE = new_device_id()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A database of the first schema with one device, its twin, a boot and a used token."""
    made = Database(f"sqlite:///{tmp_path / 'db'}")
    (tmp_path / "ca").mkdir()
    public_key = keys.generate_device_key().public_key()
    pem, expires = Authority(tmp_path / "ca", system_clock).issue_device(DEVICE, public_key)
    with made.engine.connect() as connection, connection.begin():
        command.upgrade(migrate.configuration(connection), "0001")
        for statement, values in (
            ("devices VALUES (:id, 'rpi4', :key, :pem, :expires, 1, NULL, 7)",
             {"id": DEVICE, "key": keys.public_text(public_key), "pem": pem, "expires": expires}),
            ("twins VALUES (:id, 'b1', 1, 1, 7, 'idle', NULL, '[]', NULL, 'a', '{}', NULL, NULL)", {"id": DEVICE}),
            ("device_boots VALUES (:id, 'b1', 1)", {"id": DEVICE}),
            ("claim_tokens VALUES ('t', x'00', '{}', 1, 2, 1, NULL, :id)", {"id": DEVICE}),
        ):  # fmt: skip
            connection.execute(text(f"INSERT INTO {statement}"), values)
    yield made
    made.close()


def test_a_database_of_the_first_schema_is_upgraded_with_its_devices(database: Database) -> None:
    migrate.upgrade(database)
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    with database.read() as session:
        device = session.get_one(Device, DEVICE)
        assert (device.standing, device.previous_key, device.key_in_hardware, device.fingerprint) == (
            "active", None, False, {},
        )  # fmt: skip
        [certificate] = session.query(Certificate)
    issued = x509.load_pem_x509_certificate(device.certificate.encode())
    assert (certificate.device_id, certificate.serial) == (DEVICE, f"{issued.serial_number:x}")
    assert (certificate.key, certificate.expires // 1000) == (device.public_key, device.certificate_expires // 1000)
    assert certificate.revoked_at is None


def test_a_database_that_failed_to_upgrade_is_what_it_was(database: Database) -> None:
    with database.engine.connect() as connection, connection.begin():
        connection.execute(text("UPDATE devices SET certificate = 'no certificate'"))
    with pytest.raises(ValueError, match="PEM"):
        migrate.upgrade(database)
    with database.engine.connect() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == "0001"
        assert "standing" not in {row[1] for row in connection.execute(text("PRAGMA table_info(devices)"))}
