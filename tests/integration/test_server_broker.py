"""What a broker lets devices do. Delivery is tested, never SUBACK or PUBACK: brokers grant what they then do not do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from edgefleet_contract import identifiers
from edgefleet_contract.errors import BrokerFailed
from edgefleet_server.authority import Authority, Credentials
from edgefleet_server.broker import acl
from edgefleet_server.clock import system_clock
from support.brokers import RunningBroker, running_broker
from support.ports import free_port
from support.server_runs import until

pytestmark = pytest.mark.integration

A, B = "d-aaaaaaaaaaaaaaaa", "d-bbbbbbbbbbbbbbbb"
BLOB = f"fleet/v1/blob/{'0' * 64}/0"


def up(device: str, name: str = "reported") -> str:
    return f"fleet/v1/d/{device}/up/{name}"


def down(device: str, name: str = "desired") -> str:
    return f"fleet/v1/d/{device}/down/{name}"


@pytest.fixture(params=["mosquitto", "amqtt"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningBroker]:
    with running_broker(tmp_path, request.param) as running:
        yield running


@pytest.mark.attack
def test_without_a_certificate_of_ours_nobody_gets_in(broker: RunningBroker, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", system_clock)
    for credentials in (None, broker.credentials(A, stranger)):
        with closing(broker.client(A, credentials)) as client:
            assert not client.accepted()


@pytest.mark.attack
def test_a_listeners_certificate_is_no_clients(broker: RunningBroker) -> None:
    listener = broker.folder / "ca" / "listener"
    found = Credentials(listener.with_suffix(".pem"), listener.with_suffix(".key"))
    with closing(broker.client(A, found)) as client:
        assert not client.accepted()


@pytest.mark.attack
def test_a_device_cannot_speak_for_others(broker: RunningBroker) -> None:
    with (
        closing(broker.server().connect("fleet/v1/#")) as server,
        closing(broker.client(B, broker.credentials(B)).connect(down(B), "fleet/v1/blob/+/+")) as other,
        closing(broker.client(A, broker.credentials(A)).connect()) as device,
    ):
        for topic in (up(B), down(A), down(B), BLOB, "fleet/v1/anything", up(A, "unknown"), "elsewhere"):
            device.publish(topic, b"forged")
        device.publish(up(A), b"honest")
        server.wait_for(b"honest")
        server.publish(down(B), b"control")
        other.wait_for(b"control")
        assert [payload for _, payload in server.received if payload == b"forged"] == []
        assert [payload for _, payload in other.received] == [b"control"]


@pytest.mark.attack
def test_a_device_cannot_listen_to_others(broker: RunningBroker) -> None:
    wide = ["#", "fleet/#", "fleet/v1/d/+/down/desired", down(A), up(A), "fleet/v1/d/+/up/#", "+/+/+/+/+/+", "$SYS/#"]
    with (
        closing(broker.server().connect()) as server,
        closing(broker.client(A, broker.credentials(A)).connect(down(A))) as device,
        closing(broker.client(B, broker.credentials(B)).connect(*wide, down(B))) as spy,
    ):
        server.publish(down(A), b"for A", retain=True)
        device.publish(up(A), b"from A")
        device.wait_for(b"for A")
        server.publish(down(B), b"for B")
        spy.wait_for(b"for B")
        assert {topic for topic, _ in spy.received} == {down(B)}


@pytest.mark.attack
def test_what_is_retained_for_one_device_is_not_given_to_another_that_returns(broker: RunningBroker) -> None:
    mine = broker.credentials(B)
    with (
        closing(broker.server().connect()) as server,
        closing(broker.client(A, broker.credentials(A)).connect(down(A))) as device,
    ):
        server.publish(down(A), b"secret of A", retain=True)
        device.wait_for(b"secret of A")
        for _ in range(2):
            with closing(broker.client(B, mine, clean=False).connect(down(A), down(B))) as spy:
                server.publish(down(B), b"for B")
                spy.wait_for(b"for B")
                assert [payload for _, payload in spy.received if payload != b"for B"] == []


@pytest.mark.attack
def test_naming_another_client_id_takes_nothing_from_it(broker: RunningBroker) -> None:
    with (
        closing(broker.server().connect("fleet/v1/#")) as server,
        closing(broker.client(A, broker.credentials(A), clean=False).connect(down(A))) as device,
    ):
        for clean in (True, False):
            with closing(broker.client(A, broker.credentials(B), clean=clean)) as thief:
                thief.accepted()
                thief.publish(up(A), b"forged")
                server.publish(down(A), b"still here" if clean else b"and here")
                device.wait_for(b"still here" if clean else b"and here")
                device.publish(up(A), b"honest")
                server.wait_for(b"honest")
                assert thief.received == []
        assert device.is_connected
        assert b"forged" not in [payload for _, payload in server.received]


def test_a_device_that_returns_at_once_is_served_every_time(broker: RunningBroker) -> None:
    mine = broker.credentials(A)
    with closing(broker.server().connect()) as server:
        for turn in range(25):
            with closing(broker.client(A, mine, clean=False).connect(down(A))) as device:
                server.publish(down(A), f"turn {turn}".encode())
                device.wait_for(f"turn {turn}".encode())


def test_a_device_that_returns_before_it_was_missed_takes_over(broker: RunningBroker) -> None:
    mine = broker.credentials(A)
    with closing(broker.server().connect()) as server, ExitStack() as left_open:
        for turn in range(5):
            device = left_open.enter_context(closing(broker.client(A, mine, clean=False, returns=False)))
            device.connect(down(A))
            server.publish(down(A), f"turn {turn}".encode())
            device.wait_for(f"turn {turn}".encode())


def test_what_a_sleeping_device_missed_is_kept_for_it(broker: RunningBroker) -> None:
    mine = broker.credentials(A)
    with closing(broker.server().connect()) as server:
        broker.client(A, mine, clean=False).connect(down(A, "ack")).close()
        server.publish(down(A, "ack"), b"while asleep")
        server.publish(down(A), b"retained", retain=True)
        with closing(broker.client(A, mine, clean=False).connect(down(A), down(A, "ack"))) as awake:
            awake.wait_for(b"while asleep")
            awake.wait_for(b"retained")


def test_a_window_of_blocks_passes_whole(broker: RunningBroker) -> None:
    from edgefleet_contract.blocks import BLOCK_BYTES, WINDOW

    with (
        closing(broker.server().connect()) as server,
        closing(broker.client(A, broker.credentials(A)).connect(down(A, "blk"))) as device,
    ):
        parts = [bytes([index]) * BLOCK_BYTES for index in range(WINDOW)]
        for part in parts:
            server.publish(down(A, "blk"), part)
        device.wait_for(parts[-1])
        until(lambda: sorted(payload for _, payload in device.received) == parts)


def test_a_child_that_dies_is_started_again(broker: RunningBroker) -> None:
    child = broker.supervisor._child
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    until(lambda: broker.restarts == 1)
    with closing(broker.client(A, broker.credentials(A))) as client:
        until(client.accepted)


@pytest.mark.parametrize("kind", ["mosquitto", "amqtt"])
def test_the_child_dies_with_its_parent_even_when_that_is_killed(tmp_path: Path, kind: str) -> None:
    program = (
        "import sys, time; from pathlib import Path; sys.path.insert(0, 'tests')\n"
        "from support.brokers import running_broker\n"
        f"with running_broker(Path({str(tmp_path)!r}), {kind!r}) as broker:\n"
        "    print(broker.supervisor._child.pid, flush=True); time.sleep(600)\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=root) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert Path(f"/proc/{child}").exists()
        parent.kill()
    until(lambda: not is_running(child))


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_broker_that_cannot_start_says_why(tmp_path: Path) -> None:
    broker = RunningBroker(tmp_path, "mosquitto")
    (tmp_path / "ca" / "listener.pem").write_text("no certificate")
    with pytest.raises(BrokerFailed, match="did not start"):
        broker.supervisor.start("127.0.0.1", broker.port, 10)
    assert not broker.supervisor.is_alive()


def test_both_brokers_are_given_the_same_rules() -> None:
    rules = [line.split() for line in acl.mosquitto_acl().splitlines() if line.startswith("pattern")]
    for _, access, pattern in rules:
        topic = pattern.replace("%u", A).replace("+", "0")
        assert acl.may_publish(A, topic) == (access == "write")
        assert acl.may_read(A, topic) == (access == "read")
    assert identifiers.is_device_id(A)
    assert free_port() > 0
