"""Raw samples: none without consent, never more than allowed, and only on the device."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefleet_agent import sampling
from edgefleet_agent.disk import Disk
from edgefleet_agent.sampling import Sampler
from edgefleet_contract.manifest import SamplingPolicy
from support.agent_runs import TurnedClock

ALL = SamplingPolicy(rate=1.0, max_per_day=3)


def kept(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob("*"))]


def test_by_default_nothing_is_kept(tmp_path: Path) -> None:
    sampler = Sampler(tmp_path / "samples", Disk(), TurnedClock())
    for _ in range(200):
        sampler.offer(b"secret", SamplingPolicy())
    assert not (tmp_path / "samples").exists()


def test_a_day_has_its_allowance_and_the_next_one_a_new_one(tmp_path: Path) -> None:
    clock = TurnedClock()
    for number in range(5):
        Sampler(tmp_path, Disk(), clock).offer(b"%d" % number, ALL)
    assert kept(tmp_path) == [b"0", b"1", b"2"]
    clock.ahead_s += 86_400
    Sampler(tmp_path, Disk(), clock).offer(b"new day", ALL)
    assert kept(tmp_path) == [b"0", b"1", b"2", b"new day"]


def test_the_rate_is_kept(tmp_path: Path) -> None:
    sampler = Sampler(tmp_path, Disk(), TurnedClock())
    for _ in range(1000):
        sampler.offer(b"x", SamplingPolicy(rate=0.05, max_per_day=1000))
    assert 15 <= len(kept(tmp_path)) <= 100  # binomial: outside with a probability below 1e-6


def test_the_oldest_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "KEPT_BYTES", 25)
    sampler = Sampler(tmp_path, Disk(), TurnedClock())
    for letter in b"abc":
        sampler.offer(bytes([letter]) * 10, ALL)
    assert kept(tmp_path) == [b"b" * 10, b"c" * 10]
