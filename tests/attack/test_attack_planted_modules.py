"""Whoever can write where a program is started plants modules there; children of agent and server run none of them."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import pytest

from edgefleet_agent.certificate_watch import CertificateWatch
from edgefleet_agent.clock import SystemClock
from edgefleet_agent.identity import Identity
from edgefleet_contract.errors import BrokerFailed
from edgefleet_server.broker.supervisor import Supervisor
from support.agent_broker import eventually
from support.listener import DeviceListener
from support.server_state import Inside

pytestmark = pytest.mark.attack


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of the program, with packages of an attacker's; the file that they would make."""
    mark = tmp_path / "was-here"
    for package in ("edgefleet_agent", "edgefleet_server"):
        (tmp_path / "here" / package).mkdir(parents=True)
        (tmp_path / "here" / package / "__init__.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    monkeypatch.chdir(tmp_path / "here")
    return mark


def test_a_renewal_runs_no_module_of_the_folder_in_which_the_agent_was_started(
    planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(Inside(tmp_path / "server")) as inside:
        inside.clock.now = 1_600_000_000_000  # so that the certificate is due
        folder, _ = DeviceListener(inside, monkeypatch).device(tmp_path / "agent")
    watch = CertificateWatch(folder, Identity(folder), SystemClock(), lambda: None)
    watch.tick()

    def has_ended() -> bool:
        watch.tick()
        return "certificate not renewed" in caplog.text

    eventually(has_ended, "the renewal has ended: no server is there")
    assert not planted.exists()


def test_a_broker_child_runs_no_module_of_its_folder(planted: Path) -> None:
    child = Supervisor([sys.executable, "-P", "-c", ""], Path("broker.log").absolute(), lambda: None)
    with pytest.raises(BrokerFailed):
        child.start("127.0.0.1", 1, 3.0)
    child.stop()
    assert not planted.exists()
