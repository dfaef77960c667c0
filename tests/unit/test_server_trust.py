"""The server's side of trust: what it signs itself, what it warns of, permits, and keys that are replaced."""

from __future__ import annotations

import base64
import sqlite3
from pathlib import Path

import msgspec
import pytest
from alembic import command
from sqlalchemy import select, text

from edgefleet_contract import keys, trust
from edgefleet_contract.errors import (
    Conflict,
    DowngradeRefused,
    IssuedAhead,
    MetadataExpired,
    NotFound,
    OnlineKeyLost,
    SignatureInvalid,
    StatementMalformed,
)
from edgefleet_contract.trust import proofs
from edgefleet_server import migrate
from edgefleet_server.alerts import service as alerts
from edgefleet_server.clock import DAY, HOUR
from edgefleet_server.db import Database
from edgefleet_server.migrate import configuration
from edgefleet_server.publisher.publisher import Publisher
from edgefleet_server.publisher.statement import state_release
from edgefleet_server.releases import service as releases
from edgefleet_server.rollouts.models import Assignment
from edgefleet_server.trust import permits
from edgefleet_server.trust import service as trust_service
from edgefleet_server.trust.online_keys import OnlineKeys
from edgefleet_server.trust.watch import TrustWatch
from support.server_state import NOON, Inside
from support.server_trust import Judge, rotate
from support.tiny_bundles import tiny_bundle


def watch(inside: Inside) -> TrustWatch:
    return TrustWatch(inside.database, inside.clock, inside.online_keys, inside.authority.pem)


def told(inside: Inside) -> list[str]:
    with inside.database.read() as session:
        return sorted(alert.cause for alert in alerts.alerts(session, everything=False))


def unpublished(inside: Inside) -> list[str]:
    with inside.database.read() as session:
        return list(session.scalars(select(Assignment.device_id).where(Assignment.published_at.is_(None))))


def published(inside: Inside) -> None:
    with inside.database.write() as session:
        session.execute(text("UPDATE assignments SET published_at = 1"))


def permit(
    inside: Inside, devices: list[str], digest: str, life: int = DAY, publisher: Publisher | None = None
) -> None:
    base = inside.publisher.repository()
    statement = trust.Permit(trust.VERSION, devices, digest, inside.clock() + life)
    with inside.fleet.change("admin") as change:
        permits.add(change, inside.publisher.permit(base, statement))


def test_a_device_follows_what_the_server_proves(inside: Inside) -> None:
    device = inside.device()
    judge = Judge(inside, device)
    for version in ("1.0.0", "1.1.0"):
        inside.roll_out(inside.push(tiny_bundle(inside.folder, version)))
        accepted = judge.obeys()
        assert accepted.release is not None
        assert accepted.release.version == version
        device.confirms()
        inside.pass_time(60_000)


@pytest.mark.attack
def test_a_release_by_a_clock_that_runs_ahead_is_not_taken(inside: Inside) -> None:
    inside.push()
    ahead = inside.clock() + 40 * DAY
    draft = inside.publisher.release(
        inside.publisher.repository(), state_release([tiny_bundle(inside.folder, "1.1.0")], ahead), ahead
    )
    with pytest.raises(IssuedAhead):
        inside.take(draft)
    with inside.database.read() as session:
        assert trust_service.repository(session).versions()["digits"] == 1


def test_snapshot_and_timestamp_are_signed_anew_each_day_for_those_who_wait(inside: Inside) -> None:
    waiting, settled = inside.device(site="a"), inside.device(site="b")
    inside.roll_out(inside.push(), to="site=b")
    settled.confirms()
    inside.pass_time(60_000)
    inside.roll_out("digits@1.0.0", to="site=a")
    published(inside)
    judge = Judge(inside, waiting)
    assert not watch(inside).look(), "signed today"
    inside.clock.turn(DAY)
    assert watch(inside).look()
    assert unpublished(inside) == [waiting.id]
    judge.obeys()
    inside.clock.turn(8 * DAY)
    with pytest.raises(MetadataExpired):
        Judge(inside, waiting).obeys()
    assert watch(inside).look()
    Judge(inside, waiting).obeys()


def test_what_people_must_renew_is_told_thirty_days_ahead(inside: Inside) -> None:
    inside.push()
    watch(inside).look()
    assert told(inside) == []
    inside.clock.turn(336 * DAY)
    watch(inside).look()
    assert told(inside) == ["expiry:digits", "expiry:root", "expiry:targets"]
    now = inside.clock()
    inside.take(inside.publisher.renewal(inside.publisher.repository(), now + 90 * DAY, now))
    watch(inside).look()
    assert told(inside) == []
    inside.clock.turn(3650 * DAY - 336 * DAY - 20 * DAY)
    watch(inside).look()
    assert "expiry:authority" in told(inside)


def test_a_server_that_lost_its_online_key_says_so_and_a_root_with_another_key_helps(inside: Inside) -> None:
    device = inside.device()
    inside.roll_out(inside.push())
    judge = Judge(inside, device)
    judge.obeys()
    for path in (inside.data.keys).glob("*.pem"):
        path.unlink()
    online = OnlineKeys(inside.data.keys)
    lost = TrustWatch(inside.database, inside.clock, online, inside.authority.pem)
    inside.clock.turn(DAY)
    assert not lost.look()
    assert told(inside) == ["expiry:online-key"]
    inside.online_keys = online
    with inside.fleet.change("admin") as change, pytest.raises(OnlineKeyLost, match="key rotate online"):
        trust_service.resign(change, online, trust_service.repository(change.session))
    base = inside.publisher.repository()
    inside.take(inside.publisher.rotation(base, [], online.public(None), ["online", "assignment"], inside.clock()))
    lost.look()
    assert told(inside) == []


@pytest.mark.parametrize("roles", [["online"], ["assignment"], ["online", "assignment"], ["targets"], ["root"]])
def test_replaced_keys_are_followed_by_every_device(inside: Inside, roles: list[str]) -> None:
    device = inside.device()
    judge = Judge(inside, device)
    inside.roll_out(inside.push())
    judge.obeys()
    device.confirms()
    inside.pass_time(60_000)
    published(inside)
    rotate(inside, *roles)
    assert set(unpublished(inside)) == {device.id}, "the newest root goes to everybody"
    accepted = judge.obeys()
    assert judge.memory.current.root == 2
    assert accepted.repeated == ("assignment" not in roles)
    inside.roll_out(inside.push(tiny_bundle(inside.folder, "1.1.0")))
    assert judge.obeys().release is not None


@pytest.mark.attack
def test_a_device_that_is_away_for_weeks_finds_metadata_that_have_not_expired(inside: Inside) -> None:
    device = inside.device()
    inside.settle(inside.roll_out(inside.push()), device)
    judge = Judge(inside, device)
    judge.obeys()
    rotate(inside, "assignment")
    for _ in range(2):
        published(inside)
        inside.clock.turn(DAY)
        assert watch(inside).look()
        assert unpublished(inside) == [device.id]
    judge.obeys()
    device.confirms()
    published(inside)
    inside.clock.turn(DAY)
    assert watch(inside).look()
    assert unpublished(inside) == [], "it has the newest root"


def test_a_device_that_slept_through_several_roots_follows_them(inside: Inside) -> None:
    device = inside.device()
    judge = Judge(inside, device)
    for role in ("root", "online", "targets", "root"):
        rotate(inside, role)
    inside.roll_out(inside.push())
    judge.obeys()
    assert judge.memory.current.root == 5


def test_a_token_of_before_the_rotation_still_enrolls(inside: Inside) -> None:
    token = inside.token()
    old = inside.publisher.repository().roots[-1]
    rotate(inside, "online")
    request = inside.request(token, keys.generate_device_key())
    response = inside.enroll(msgspec.structs.replace(request, root=token.root))
    assert base64.b64decode(response.root) == old


@pytest.mark.attack
def test_a_downgrade_needs_a_permit_of_the_targets_keys(inside: Inside, tmp_path: Path) -> None:
    older = digest_of(inside, inside.push())
    device = inside.device()
    judge = Judge(inside, device)
    inside.roll_out(inside.push(tiny_bundle(inside.folder, "1.1.0")))
    judge.obeys()
    device.confirms()
    inside.pass_time(60_000)
    needed = f"release permit --release digits@1.0.0 --device {device.id}"
    with pytest.raises(Conflict, match=needed):
        inside.roll_out("digits@1.0.0")
    stranger = Publisher(tmp_path / "stranger")
    stranger.ensure()
    stranger.keep(stranger.first(inside.online_keys.public(None), NOON).grown())
    statement = trust.Permit(trust.VERSION, [device.id], older, inside.clock() + DAY)
    with inside.fleet.change("admin") as change, pytest.raises(SignatureInvalid):
        permits.add(change, stranger.permit(stranger.repository(), statement))
    with pytest.raises(NotFound):
        permit(inside, [device.id], "0" * 64)
    with pytest.raises(Conflict, match="expired"):
        permit(inside, [device.id], older, life=-1)
    with pytest.raises(Conflict, match="would live 400 days"):
        permit(inside, [device.id], older, life=400 * DAY)
    permit(inside, ["d-" + "a" * 16], older)
    with pytest.raises(Conflict, match=needed):
        inside.roll_out("digits@1.0.0")
    permit(inside, [device.id], older)
    inside.roll_out("digits@1.0.0")
    assignment, _ = judge.desired()
    with inside.database.read() as session:
        book = trust_service.proof_book(session)
    assert book is not None
    with pytest.raises(DowngradeRefused):
        judge.judges(assignment, book.proof("digits/1.0.0/x86-64.efb") or b"")
    accepted = judge.obeys()
    assert accepted.release is not None
    assert accepted.release.version == "1.0.0"


def test_a_permit_that_has_expired_is_no_longer_given_to_devices(inside: Inside) -> None:
    older = digest_of(inside, inside.push())
    device = inside.device()
    permit(inside, [device.id], older, life=HOUR)
    with inside.database.read() as session:
        assert permits.in_force(session, inside.clock()).keys() == {(device.id, older)}
        assert permits.in_force(session, inside.clock() + HOUR) == {}


def test_a_permit_dies_with_the_targets_key_that_signed_it(inside: Inside) -> None:
    older = digest_of(inside, inside.push())
    device = inside.device()
    inside.roll_out(inside.push(tiny_bundle(inside.folder, "1.1.0")))
    device.confirms()
    inside.pass_time(60_000)
    permit(inside, [device.id], older)
    rotate(inside, "targets")
    with pytest.raises(Conflict, match=f"release permit --release digits@1.0.0 --device {device.id}"):
        inside.roll_out("digits@1.0.0")
    with inside.database.read() as session:
        assert permits.in_force(session, inside.clock()) == {}
        [lapsed] = permits.lapsed(session, inside.clock())
        assert (lapsed.digest, lapsed.devices) == (older, [device.id])
    permit(inside, [device.id], older)
    with inside.database.read() as session:
        assert permits.lapsed(session, inside.clock()) == [], "the new one stands for it"
    inside.roll_out("digits@1.0.0")


def test_what_a_device_ran_before_needs_no_permit(inside: Inside) -> None:
    device = inside.device()
    for version in ("1.0.0", "1.1.0"):
        inside.settle(inside.roll_out(inside.push(tiny_bundle(inside.folder, version, labelled=False))), device)
    inside.roll_out("digits@1.0.0")


def test_a_restored_server_goes_on_above_what_it_has_forgotten(inside: Inside) -> None:
    device = inside.device()
    judge = Judge(inside, device)
    inside.roll_out(inside.push())
    copy = inside.folder / "copy.db"
    with inside.database.read() as session:
        source, target = session.connection().connection.driver_connection, sqlite3.connect(copy)
        assert source is not None
        source.backup(target)
        target.close()
    inside.push(tiny_bundle(inside.folder, "1.1.0"))
    inside.clock.turn(DAY)
    watch(inside).look()
    judge.obeys()
    inside.database.close()
    for left in inside.folder.glob("data/edgefleet.db*"):
        left.unlink()
    copy.rename(inside.folder / "data" / "edgefleet.db")
    inside.clock.turn(HOUR)
    own = inside.publisher.repository()
    with inside.database.read() as session:
        behind = {
            name: data for name, data in own.files().items() if name not in trust_service.repository(session).files()
        }
    assert behind
    with inside.fleet.change("admin") as change:
        assert trust_service.take(change, inside.online_keys, behind) == own
    judge.obeys()


def test_a_database_of_the_first_schema_keeps_its_fleet(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'old.db'}")
    with database.engine.connect() as connection, connection.begin():
        command.upgrade(configuration(connection), "0001")
        connection.execute(
            text(
                "INSERT INTO releases (name, version, issued, security_floor, statement, pushed_at) "
                "VALUES ('digits', '1.0.0', 1, 0, x'00', 1)"
            )
        )
        connection.execute(text("INSERT INTO trust_roots VALUES ('0', x'00', 1)"))
    assert migrate.upgrade(database) >= "0002"
    with database.read() as session:
        assert session.execute(text("SELECT name, version FROM releases")).all() == [("digits", "1.0.0")]
        assert trust_service.proof_book(session) is None
    database.close()


def digest_of(inside: Inside, label: str) -> str:
    with inside.database.read() as session:
        return releases.release(session, label).bundles[0].digest


def test_a_root_that_some_model_s_proof_could_not_hold_is_refused(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each further root adds to every proof, and the model with most versions feels it first."""
    for version in ("1.0.0", "1.1.0", "1.2.0", "1.3.0"):
        inside.push(tiny_bundle(inside.folder, version))
    with inside.database.read() as session:
        book = trust_service.proof_book(session)
    proof = book.proof("digits/1.0.0/x86-64.efb") if book is not None else None
    assert proof is not None
    monkeypatch.setattr(proofs, "PROOF_LIMIT", len(proof) + 500)  # as if there were hundreds
    before = inside.publisher.repository()
    with pytest.raises(StatementMalformed, match="proof"):
        rotate(inside, "root")
    assert inside.publisher.repository() == before
    with inside.database.read() as session:
        assert trust_service.repository(session) == before
