"""The audit log: append-only in the database, chained, and found out when somebody goes around both."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from edgefleet_contract.errors import AuditLogAltered, UsageMalformed
from edgefleet_server import migrate
from edgefleet_server.audit import chain, service
from edgefleet_server.audit.chain import Checkpoint
from edgefleet_server.audit.change import Change
from edgefleet_server.audit.schemas import audit_schema
from edgefleet_server.db import Database
from support.server_state import Inside

pytestmark = pytest.mark.attack

TAMPERING = {
    "altered": "UPDATE audit_log SET actor = 'somebody' WHERE id = 3",
    "details altered": "UPDATE audit_log SET details = '{\"number\": 7}' WHERE id = 3",
    "origin altered": "UPDATE audit_log SET origin = '192.0.2.1' WHERE id = 2",
    "removed": "DELETE FROM audit_log WHERE id = 3",
    "first removed": "DELETE FROM audit_log WHERE id = 1",
    "moved": "UPDATE audit_log SET id = CASE id WHEN 2 THEN -3 WHEN 3 THEN -2 ELSE id END",
    "put in": "INSERT INTO audit_log SELECT 99, at, actor, act, device_id, rollout_id, details, origin, hash "
    "FROM audit_log WHERE id = 2",
}


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    """A server whose log has five entries or more."""
    made = Inside(tmp_path)
    for number in range(5):
        with made.fleet.change("jo", "192.0.2.9") as change:
            change.record("thing.done", number=number, share=0.1, nested={"é": [None, True]})
    yield made
    made.close()


def log(inside: Inside) -> list[dict[str, Any]]:
    """All entries, as the API gives them."""
    with inside.database.read() as session:
        found = service.entries(session, after=0, limit=10_000)
        return [audit_schema(entry).model_dump(mode="json") for entry in found]


def tamper(inside: Inside, *statements: str) -> None:
    """What somebody with the database's file can do: drop the triggers, and then anything."""
    database = sqlite3.connect(inside.data.path / "edgefleet.db")
    for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        database.execute(f"DROP TRIGGER {trigger}")
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()


def test_a_log_that_nobody_touched_follows_from_itself(inside: Inside) -> None:
    end = chain.verify(log(inside))
    assert end.count == len(log(inside)) > 5
    assert chain.verify(log(inside), end) == end
    assert chain.parse_checkpoint(f"{end}\n") == end


@pytest.mark.parametrize("how", TAMPERING)
def test_whatever_is_done_to_an_entry_is_found(inside: Inside, how: str) -> None:
    tamper(inside, TAMPERING[how], "UPDATE audit_log SET id = -id WHERE id < 0")
    with pytest.raises(AuditLogAltered):
        chain.verify(log(inside))


@pytest.mark.parametrize("details", [{"number": 2**70}, {"text": "\ud800"}])
def test_an_entry_that_no_server_writes_is_an_altered_one(inside: Inside, details: dict[str, Any]) -> None:
    entries = log(inside)
    entries[1]["details"] = details
    with pytest.raises(AuditLogAltered):
        chain.verify(entries)


def test_an_end_that_was_cut_off_is_found_by_the_checkpoint_alone(inside: Inside) -> None:
    checkpoint = chain.verify(log(inside))
    tamper(inside, f"DELETE FROM audit_log WHERE id = {checkpoint.count}")
    assert chain.verify(log(inside)).count == checkpoint.count - 1, "the chain itself cannot show it"
    with pytest.raises(AuditLogAltered, match=f"ends after {checkpoint.count - 1} entries, and had {checkpoint.count}"):
        chain.verify(log(inside), checkpoint)


def test_a_log_that_was_written_anew_is_found_by_the_checkpoint(inside: Inside) -> None:
    checkpoint = chain.verify(log(inside))
    forged: list[dict[str, Any]] = []
    last = chain.START
    for entry in log(inside):
        entry["actor"] = "somebody"
        last = entry["hash"] = chain.link(last, entry)
        forged.append(entry)
    assert chain.verify(forged).count == checkpoint.count
    with pytest.raises(AuditLogAltered, match="not those of the checkpoint"):
        chain.verify(forged, checkpoint)


@pytest.mark.parametrize("spoiled", ["", "5", "5:abc", ":" + "0" * 64, "x:" + "0" * 64, "-1:" + "0" * 64])
def test_what_is_no_checkpoint_is_refused(spoiled: str) -> None:
    with pytest.raises(UsageMalformed):
        chain.parse_checkpoint(spoiled)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET actor = 'somebody'",
        "DELETE FROM audit_log",
        """
        INSERT OR REPLACE INTO audit_log
        SELECT id, at, 'somebody', act, device_id, rollout_id, details, origin, hash FROM audit_log WHERE id = 2
        """,
    ],
)
def test_the_database_refuses_to_change_the_log(inside: Inside, statement: str) -> None:
    before = log(inside)
    with pytest.raises(IntegrityError, match="append-only"), inside.database.write() as session:
        session.execute(text(statement))
    assert log(inside) == before


def test_many_writers_make_one_chain(inside: Inside) -> None:
    databases = [Database(inside.data.database_url) for _ in range(4)]

    def write(database: Database, writer: int) -> None:
        for number in range(10):
            with database.write() as session:
                Change(session, 0, f"writer{writer}").record("thing.done", number=number)

    threads = [threading.Thread(target=write, args=(database, at)) for at, database in enumerate(databases)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for database in databases:
        database.close()
    entries = log(inside)
    chain.verify(entries)
    for writer in range(4):
        mine = [entry["details"]["number"] for entry in entries if entry["actor"] == f"writer{writer}"]
        assert mine == list(range(10))


def test_an_act_that_is_undone_leaves_no_gap_in_the_chain(inside: Inside) -> None:
    with inside.fleet.change("jo") as change:
        change.record("first.done")
        savepoint = change.session.begin_nested()
        change.record("second.undone")
        change.session.flush()
        savepoint.rollback()
        change.record("third.done")
    assert [entry["act"] for entry in log(inside)][-2:] == ["first.done", "third.done"]
    chain.verify(log(inside))


def test_a_database_of_the_first_schema_gets_a_chain_over_what_it_has(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'old.db'}")
    with database.engine.connect() as connection, connection.begin():
        command.upgrade(migrate.configuration(connection), "0001")
        for number in range(3):
            connection.execute(
                text(
                    "INSERT INTO audit_log (at, actor, act, device_id, rollout_id, details) "
                    'VALUES (:at, \'admin\', \'rollout.started\', NULL, 4, \'{"share": 0.10, "b": 1, "a": "é"}\')'
                ),
                {"at": number},
            )
    migrate.upgrade(database)
    with database.read() as session:
        entries = [audit_schema(entry).model_dump(mode="json") for entry in service.entries(session, after=0, limit=9)]
    assert chain.verify(entries) == Checkpoint(3, entries[-1]["hash"])
    with pytest.raises(IntegrityError, match="append-only"), database.write() as session:
        session.execute(text("DELETE FROM audit_log"))
    database.close()
