"""How devices leave: what is revoked, what is erased, what stays, and who takes over."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from sqlalchemy import inspect, select

from edgefleet_contract.errors import Conflict, DeviceRevoked, NotFound, UsageMalformed
from edgefleet_contract.messages import TelemetryRecord
from edgefleet_server.alerts import service as alerts
from edgefleet_server.alerts.offline import SILENT_AFTER, OfflineWatch
from edgefleet_server.authority import DEVICE_LIFE
from edgefleet_server.clock import DAY
from edgefleet_server.db import Base
from edgefleet_server.devices import certificates, lifecycle, service
from edgefleet_server.devices.groups import devices_of, parse_selector
from edgefleet_server.devices.models import Device
from edgefleet_server.rollouts.models import Assignment, Rollout
from edgefleet_server.telemetry import models as telemetry
from support.server_state import Inside, SiteOfThree, StandIn


def act(inside: Inside, verb: Any, *devices: StandIn) -> lifecycle.Departure:
    with inside.fleet.change("admin") as change:
        departure: lifecycle.Departure = verb(change, *(device.id for device in devices))
    inside.engine.run_until_quiet()
    return departure


def row(inside: Inside, device: StandIn) -> Device:
    with inside.database.read() as session:
        return session.get_one(Device, device.id)


def record(n: int, boot: str = "b1") -> TelemetryRecord:
    return TelemetryRecord(n, boot, "d" * 64, 0, 1, 5, 0)


def kept(inside: Inside, device: StandIn) -> int:
    with inside.database.read() as session:
        query = select(telemetry.TelemetryRecord).where(telemetry.TelemetryRecord.device_id == device.id)
        return len(session.scalars(query).all())


@pytest.mark.attack
def test_a_revoked_device_is_on_the_list_and_heard_no_more(inside: Inside) -> None:
    device, other = inside.device(), inside.device()
    assert act(inside, lifecycle.revoke, device).changed
    with inside.database.read() as session:
        revoked = certificates.revoked(session, inside.clock())
    [serial] = [serial for serial, _ in revoked]
    assert serial == x509.load_pem_x509_certificate(row(inside, device).certificate.encode()).serial_number
    outcome = inside.ingest.store([device.message("idle", sequence=0), other.message("idle", sequence=0)])
    assert outcome.seen == {other.id}
    assert device.id not in [found.id for found in _group(inside, "all")]


def _group(inside: Inside, name: str) -> list[Device]:
    with inside.database.read() as session:
        return devices_of(session, parse_selector(name))


def test_the_revocation_list_is_the_authoritys_and_outlives_what_is_on_it(inside: Inside) -> None:
    device = inside.device()
    act(inside, lifecycle.revoke, device)
    with inside.database.read() as session:
        revoked = certificates.revoked(session, inside.clock())
    crl = x509.load_pem_x509_crl(inside.authority.crl(revoked))
    authority = x509.load_pem_x509_certificate(inside.authority.pem.encode())
    assert crl.is_signature_valid(authority.public_key())
    assert [entry.serial_number for entry in crl] == [serial for serial, _ in revoked]
    number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    inside.clock.turn(1)
    later = x509.load_pem_x509_crl(inside.authority.crl(revoked))
    assert later.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number > number
    assert crl.next_update_utc is not None
    assert crl.next_update_utc.timestamp() * 1000 >= inside.clock() - 1 + DEVICE_LIFE
    inside.clock.turn(DEVICE_LIFE + DAY)
    with inside.database.read() as session:
        assert certificates.revoked(session, inside.clock()) == [], "what has ended by itself need not be listed"


@pytest.mark.parametrize("verb", [lifecycle.revoke, lifecycle.retire, lifecycle.replace])
def test_the_last_words_of_one_that_left_open_no_alert(inside: Inside, verb: Any) -> None:
    device, successor = inside.device(), inside.device()
    last_words = device.message("idle", sequence=0)
    act(inside, verb, device, *([successor] if verb == lifecycle.replace else []))
    inside.ingest.store([last_words])
    with inside.database.read() as session:
        assert alerts.alerts(session, everything=True) == []


@pytest.mark.parametrize("verb", [lifecycle.revoke, lifecycle.retire])
def test_leaving_twice_is_leaving_once(inside: Inside, verb: Any) -> None:
    device = inside.device()
    act(inside, verb, device)
    acts = inside.acts()
    assert not act(inside, verb, device).changed
    assert inside.acts() == acts


def test_a_retired_device_leaves_nothing_but_its_name(inside: Inside) -> None:
    device = inside.device(site="south")
    inside.ingest.store([device.message("idle", sequence=0), device.telemetry([record(1), record(2)])])
    departure = act(inside, lifecycle.retire, device)
    assert (departure.erased["telemetry"], departure.erased["tags"], departure.erased["boots"]) == (2, 1, 1)
    assert kept(inside, device) == 0
    found = row(inside, device)
    assert (found.standing, found.tags, found.public_key, found.certificate) == ("retired", [], "", "")
    assert (found.fingerprint, found.last_seen, found.twin.boot, found.twin.agent) == ({}, None, None, "")
    assert inside.acts()[-1] == "device.retired"


def test_every_table_of_a_devices_own_is_erased_or_kept_on_purpose() -> None:
    on_purpose = {"certificates", "deployments", "claim_tokens", "twins", "device_tags", "assignments"}
    of_devices = {
        table.name
        for table in Base.metadata.tables.values()
        if any(key.column.table.name == "devices" for key in table.foreign_keys)
    }
    by_erasure = {"telemetry_records", "sketch_hours", "drift_verdicts", "samples"}
    erased = {inspect(table).local_table.name for table in lifecycle.ERASED.values()}
    assert of_devices == erased | by_erasure | on_purpose


@pytest.mark.attack
def test_a_retired_device_cannot_come_back(inside: Inside) -> None:
    token, device = inside.token(), inside.device()
    request = inside.request(token, device.key)
    enrolled = inside.enroll(request)
    with inside.fleet.change("admin") as change:
        lifecycle.retire(change, enrolled.device)
    with pytest.raises(DeviceRevoked):
        inside.enroll(request)
    with pytest.raises(Conflict, match="retired"):
        inside.token(device=enrolled.device)
    assert row(inside, device).standing == "active"


def test_a_silent_device_that_left_alarms_nobody(inside: Inside) -> None:
    device = inside.device()
    inside.ingest.store([device.message("idle", sequence=0)])
    act(inside, lifecycle.revoke, device)
    inside.clock.turn(SILENT_AFTER + 1)
    OfflineWatch(inside.database, inside.clock).look()
    assert "alert.opened" not in inside.acts()


def test_a_replacement_takes_tags_telemetry_and_the_model_that_ran(inside: Inside) -> None:
    site = SiteOfThree(inside)
    old = site.devices[0]
    with inside.fleet.change("admin") as change:
        service.tag(change, old.id, {"group": "press", "site": "south"}, [])
    inside.ingest.store([old.telemetry([record(1), record(2)])])
    new = inside.device()
    [label] = act(inside, lifecycle.replace, old, new).rollouts
    assert [device.id for device in _group(inside, "press")] == [new.id]
    assert (kept(inside, old), kept(inside, new)) == (0, 2)
    assert (row(inside, old).standing, row(inside, old).replaced_by) == ("revoked", new.id)
    assert new.assignment().digest == site.digest
    inside.settle(label, new)
    assert inside.rollout(site.first).state == "finished", "its own rollout is history, and stays"
    assert not act(inside, lifecycle.replace, old, new).changed


def test_a_replacement_takes_the_place_in_a_rollout_under_way(inside: Inside) -> None:
    old, other = inside.device(), inside.device()
    label = inside.roll_out(inside.push())
    new = inside.device()
    assert act(inside, lifecycle.replace, old, new).rollouts == [label]
    assert inside.deployment(label, old).state == "superseded"
    assert inside.deployment(label, new).state == "assigned"
    inside.settle(label, other, new)


def test_a_rollout_ends_without_the_device_that_left(inside: Inside) -> None:
    device, other = inside.device(), inside.device()
    label = inside.roll_out(inside.push())
    act(inside, lifecycle.retire, device)
    inside.settle(label, other)
    inside.act("rollback", label)
    with inside.database.read() as session:
        assert session.scalars(select(Assignment).where(Assignment.device_id == device.id)).all() == []
        assert session.scalars(select(Rollout)).one().state == "rolled_back"


def test_only_an_active_device_takes_over_and_only_from_another(inside: Inside) -> None:
    one, two, three = (inside.device() for _ in range(3))
    act(inside, lifecycle.retire, three)
    for old, new in ((one, one), (one, three), (three, one)):
        with pytest.raises(Conflict):
            act(inside, lifecycle.replace, old, new)
    act(inside, lifecycle.replace, one, two)
    with pytest.raises(Conflict, match="was replaced"):
        act(inside, lifecycle.replace, one, inside.device())
    with pytest.raises(NotFound), inside.fleet.change("admin") as change:
        lifecycle.revoke(change, "d-aaaaaaaaaaaaaaaa")


def test_a_wrong_tag_is_quoted_in_part() -> None:
    with pytest.raises(UsageMalformed) as refusal:
        parse_selector("room=" + "x" * 5000)
    assert "'room=xxx" in refusal.value.text()
    assert len(refusal.value.text()) < 500
