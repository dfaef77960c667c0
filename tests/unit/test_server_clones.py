"""Signs of a cloned device: they raise an alert, and honest devices raise none."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import select

from edgefleet_contract import keys
from edgefleet_contract.fingerprint import Fingerprint, hashed
from edgefleet_server.alerts.models import Alert
from edgefleet_server.devices import clones
from edgefleet_server.devices.models import Device
from support.server_state import Inside, StandIn

HERE = Fingerprint(hashed("machine", "m1"), hashed("serial", "s1"), hashed("network", "n1"))


@pytest.fixture
def device(inside: Inside) -> StandIn:
    made = inside.device()
    with inside.database.write() as session:
        session.get_one(Device, made.id).fingerprint = msgspec.to_builtins(HERE)
    return made


def alarms(inside: Inside) -> list[str]:
    with inside.database.read() as session:
        return list(session.scalars(select(Alert.text).where(Alert.kind == clones.KIND)))


def says(device: StandIn, fingerprint: Fingerprint = HERE, boot: str | None = None) -> None:
    device.says("idle", sequence=0, fingerprint=fingerprint, **({"boot": boot} if boot else {}))


def test_the_same_hardware_raises_nothing(inside: Inside, device: StandIn) -> None:
    says(device)
    says(device, Fingerprint(serial=HERE.serial))
    assert alarms(inside) == [], "what one of the two has not cannot differ"


@pytest.mark.attack
def test_other_hardware_under_the_same_identity_raises_an_alert(inside: Inside, device: StandIn) -> None:
    other = msgspec.structs.replace(HERE, serial=hashed("serial", "s2"), network=hashed("network", "n2"))
    for _ in range(3):
        says(device, other)
    assert len(alarms(inside)) == 1
    [text] = alarms(inside)
    assert "serial and network fingerprint" in text
    assert device.id in text


@pytest.mark.attack
def test_two_lives_that_report_in_turn_raise_an_alert(inside: Inside, device: StandIn) -> None:
    for _ in range(4):
        for boot in ("one", "two"):
            says(device, boot=boot)
    assert ["in turn" in text for text in alarms(inside)] == [True]


def test_restarts_and_late_repetitions_raise_nothing(inside: Inside, device: StandIn) -> None:
    for boot in ("one", "two", "three", "four", "five", "six"):
        says(device, boot=boot)
    for boot in ("five", "six", "five", "six", "six", "one", "two", "three"):
        says(device, boot=boot)
    assert alarms(inside) == []


@pytest.mark.attack
def test_a_replaced_key_that_signs_again_raises_an_alert(inside: Inside, device: StandIn) -> None:
    old = device.key
    says(device)
    with inside.fleet.change("device") as change:
        found = change.session.get_one(Device, device.id)
        device.key = keys.generate_device_key()
        inside.enroller.renewer.issue(change, found, device.key.public_key())
    says(device)
    assert alarms(inside) == []
    device.key = old
    says(device)
    assert len(alarms(inside)) == 1
    [text] = alarms(inside)
    assert "a key that it has replaced" in text
