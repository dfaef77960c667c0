"""Samples on the device: redacted, sealed to the consent's key, kept until the server has them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from edgefleet_agent.config import load_config
from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.outbox import Outbox
from edgefleet_agent.sample_uplink import SampleUplink
from edgefleet_contract import samples
from edgefleet_contract.errors import UsageMalformed
from edgefleet_contract.messages import SAMPLE_CHUNK_BYTES
from support.agent_runs import TurnedClock
from support.contract_samples import DEVICE
from support.sampled import CONSENT, DIGEST, SampleSide, arrays_of, sealed_by_a_device

IMAGE = np.arange(64, dtype=np.float32).reshape(1, 8, 8, 1)


def test_a_sample_is_what_was_asked_and_only_the_consents_key_reads_it(tmp_path: Path) -> None:
    (sealed,) = sealed_by_a_device(tmp_path, IMAGE)
    assert np.array_equal(arrays_of(sealed)["image"], IMAGE)
    label = samples.read_label(sealed)
    assert (label.device, label.digest) == (DEVICE, DIGEST)


def test_hooks_take_away_before_anything_is_sealed(tmp_path: Path) -> None:
    (sealed,) = sealed_by_a_device(tmp_path, IMAGE, "clip:10:20, clip:0:15")
    assert np.array_equal(arrays_of(sealed)["image"], IMAGE.clip(10, 15))
    assert sealed_by_a_device(tmp_path / "dropped", IMAGE, "drop-input:image") == []


BLUR = """
def blur(arrays):
    print("a hook that prints")
    return {name: array * 0 + 3 for name, array in arrays.items()}

def refuse(arrays):
    return None

def fail(arrays):
    raise RuntimeError("not today")
"""


@pytest.mark.attack
def test_the_owners_function_decides_and_its_failure_sends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_hooks.py").write_text(BLUR)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(tmp_path)]))
    (sealed,) = sealed_by_a_device(tmp_path / "blurred", IMAGE, "own_hooks:blur")
    assert np.array_equal(arrays_of(sealed)["image"], np.full_like(IMAGE, 3))
    for hook in ("refuse", "fail", "missing"):
        assert sealed_by_a_device(tmp_path / hook, IMAGE, f"own_hooks:{hook}") == []


@pytest.mark.parametrize("text", ["blur", "clip:3", "clip:5:1", "clip:a:b", "drop-input:", "os:system('x')"])
def test_a_hook_that_means_nothing_stops_the_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "agent.toml").write_text(f'redact = "{text}"')
    with pytest.raises(UsageMalformed, match="redaction hook"):
        load_config(DataFolder(tmp_path), {})


def sealed_sample(size: int) -> bytes:
    return samples.seal_sample(os.urandom(size), device=DEVICE, digest=DIGEST, taken=1, recipient=CONSENT.recipient)


def test_samples_are_sent_in_pieces_and_forgotten_when_the_server_has_them(tmp_path: Path) -> None:
    outbox, side, clock = Outbox(tmp_path, Disk(), 1 << 20), SampleSide(), TurnedClock()
    data = [sealed_sample(2 * SAMPLE_CHUNK_BYTES + 5), sealed_sample(10)]
    for sealed in data:
        assert outbox.add(sealed)
    uplink = SampleUplink(outbox, DEVICE, side.publish, clock)
    uplink.connected()
    while outbox.oldest() is not None:
        for ack in side.acks():
            uplink.acknowledged(ack)
    assert sorted(side.whole()) == sorted(data)


def test_a_piece_that_got_lost_is_sent_again(tmp_path: Path) -> None:
    outbox, side, clock = Outbox(tmp_path, Disk(), 1 << 20), SampleSide(), TurnedClock()
    outbox.add(sealed_sample(10))
    uplink = SampleUplink(outbox, DEVICE, side.publish, clock)
    side.losing = True
    uplink.connected()
    side.losing = False
    uplink.tick()
    assert side.whole() == []
    clock.ahead_s += 60
    uplink.tick()
    assert len(side.whole()) == 1
    assert outbox.oldest() is not None


def test_a_server_that_forgot_a_sample_gets_it_from_the_start(tmp_path: Path) -> None:
    outbox, side, clock = Outbox(tmp_path, Disk(), 1 << 20), SampleSide(), TurnedClock()
    sealed = sealed_sample(SAMPLE_CHUNK_BYTES)
    outbox.add(sealed)
    uplink = SampleUplink(outbox, DEVICE, side.publish, clock)
    uplink.connected()
    uplink.acknowledged(side.acks()[0])
    (pieces,) = side.pieces.values()
    assert len(pieces) == 2
    pieces.clear()
    uplink.acknowledged(side.acks()[0])
    uplink.acknowledged(side.acks()[0])
    assert side.whole() == [sealed]


def test_the_oldest_make_room_and_a_spoiled_one_is_forgotten(tmp_path: Path) -> None:
    outbox, side = Outbox(tmp_path, Disk(), 25_000), SampleSide()
    for _ in range(3):
        outbox.add(sealed_sample(10_000))
    assert not outbox.add(sealed_sample(30_000))
    assert len(list(tmp_path.iterdir())) == 2
    oldest = outbox.oldest()
    assert oldest is not None
    oldest.write_bytes(b"spoiled")
    SampleUplink(outbox, DEVICE, side.publish, TurnedClock()).connected()
    assert len(side.whole()) == 1
