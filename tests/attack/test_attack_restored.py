"""Whoever can bring an old copy of the server back can make it forget, and not make a device go back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edgefleet_server.alerts import service as alerts
from support.server_state import NOON, Inside
from support.tiny_bundles import tiny_bundle
from support.unchanged import unchanged

pytestmark = pytest.mark.attack


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    with closing(Inside(tmp_path)) as opened:
        yield opened


def test_a_restored_server_goes_on_above_what_its_devices_report(inside: Inside) -> None:
    device = inside.device()
    forgotten = NOON // 1000 + 5000  # of an assignment that the lost server made, by a clock that went fast
    device.says("confirmed", sequence=forgotten, running="a" * 64, confirmed=["a" * 64])
    inside.roll_out(inside.push(tiny_bundle(inside.folder)))
    assert device.assignment().sequence > forgotten


def test_a_restored_server_goes_on_above_what_it_cannot_know(inside: Inside) -> None:
    """A device that sleeps reports nothing; sequences grow from Unix seconds, so that the clock alone is above them."""
    device = inside.device()
    inside.roll_out(inside.push(tiny_bundle(inside.folder)))
    assert device.assignment().sequence >= inside.clock() // 1000


def test_a_device_that_the_backup_forgot_changes_nothing_and_is_told(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "lost").mkdir()
    with closing(Inside(tmp_path / "lost")) as lost:
        forgotten = lost.device()
        message = forgotten.message("idle", sequence=0)
    with unchanged(inside.data.path, apart_from=("alerts",)):
        for _ in range(3):
            inside.ingest.store([message])
    with inside.database.read() as session:
        assert [alert.cause for alert in alerts.alerts(session, everything=False)] == [f"unknown:{forgotten.id}"]
