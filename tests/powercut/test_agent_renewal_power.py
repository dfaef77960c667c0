"""Power cuts at every write of a renewal: the device always has one whole identity that the server takes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from sqlalchemy.orm import Session

from edgefleet_agent import renewal
from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.identity import Identity
from edgefleet_contract import dsse, keys
from edgefleet_server.audit.change import Change
from edgefleet_server.authority import DEVICE_LIFE
from edgefleet_server.devices import proof
from edgefleet_server.devices.models import Device
from support.disk_trace import Trace, Tree, lay_out, traced
from support.listener import DeviceListener
from support.server_state import Inside

pytestmark = pytest.mark.powercut


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeviceListener]:
    inside = Inside(tmp_path / "server")
    yield DeviceListener(inside, monkeypatch)
    inside.close()


@contextmanager
def undone(session: Session) -> Iterator[None]:
    """Whatever the server does within is taken back."""
    nested = session.begin_nested()
    try:
        yield
    finally:
        nested.rollback()
        session.expire_all()


def check_whole(session: Session, folder: DataFolder, device: str) -> None:
    """Key and certificate belong together, and the server takes what the device signs."""
    mine = Identity(folder)
    issued = x509.load_pem_x509_certificate(mine.certificate_file.read_bytes())
    assert issued.public_key() == mine.signer.public_key()
    assert mine.authority_file.is_file()
    proof.open_signed(session, session.get_one(Device, device), mine.sign(b"{}", dsse.REPORTED), dsse.REPORTED)


def check_remainder(listener: DeviceListener, session: Session, device: str, folder: DataFolder) -> None:
    """After the cut the identity is whole, and the renewal ends, with the key that the server knows."""
    check_whole(session, folder, device)
    change = Change(session, listener.inside.clock(), "device")
    with undone(session):
        if Identity(folder).card.generation == 1:
            renewal.renew(folder, Disk(), 0, lambda envelope: listener.renew_in(change, envelope))
        check_whole(session, folder, device)
        mine = Identity(folder)
        assert mine.card.generation == 2
        assert session.get_one(Device, device).public_key == keys.public_text(mine.signer.public_key())


def test_whatever_a_power_cut_leaves_is_a_whole_identity_and_the_renewal_ends(
    listener: DeviceListener, tmp_path: Path
) -> None:
    folder, card = listener.device(tmp_path / "agent")
    listener.inside.clock.turn(DEVICE_LIFE * 2 // 3)
    with listener.inside.database.write() as session:
        with undone(session):
            trace = trace_renewal(listener, session, folder)
            asked = check_all(listener, session, card.device, trace, tmp_path, asked=True)
        before = check_all(listener, session, card.device, trace, tmp_path, asked=False)
    assert asked >= 10
    assert before >= 6


def trace_renewal(listener: DeviceListener, session: Session, folder: DataFolder) -> Trace:
    """Renew, and mark when the server is asked."""
    with traced(folder.root) as trace:

        def ask(envelope: bytes) -> bytes:
            trace.mark("asked")
            return listener.renew_in(Change(session, listener.inside.clock(), "device"), envelope)

        renewal.renew(folder, Disk(), 0, ask)
    return trace


def check_all(listener: DeviceListener, session: Session, device: str, trace: Trace, root: Path, *, asked: bool) -> int:
    """Check every remainder from before or after the server was asked; how many there are."""
    trees: list[Tree] = [tree for tree, marks in trace.trees() if ("asked" in marks) is asked]
    for tree in trees:
        lay_out(tree, root / "cut")
        check_remainder(listener, session, device, DataFolder(root / "cut"))
        shutil.rmtree(root / "cut")
    return len(trees)
