"""Which requests become samples: none by default, never more than allowed, and only on the device without consent."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefleet_agent import sampling
from edgefleet_agent.disk import Disk
from edgefleet_agent.outbox import Outbox
from edgefleet_agent.sampling import Sampler
from edgefleet_agent.sealer import Sealer
from edgefleet_contract.manifest import Manifest, SamplingPolicy
from support.agent_runs import TurnedClock
from support.contract_samples import DEVICE, sample_manifest


def policy(rate: float = 0.0, max_per_day: int = 0) -> Manifest:
    return sample_manifest(sampling=SamplingPolicy(rate, max_per_day))


ALL = policy(1.0, 3)


def sampler_in(folder: Path, clock: TurnedClock | None = None) -> Sampler:
    clock = clock or TurnedClock()
    return Sampler(folder, Disk(), clock, Sealer(Outbox(folder / "outbox", Disk(), 1 << 20), DEVICE, "", clock))


def kept(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob("*.json"))]


def test_by_default_nothing_is_kept(tmp_path: Path) -> None:
    sampler = sampler_in(tmp_path / "samples")
    for _ in range(200):
        sampler.offer(b"secret", "d" * 64, policy())
    assert not (tmp_path / "samples").exists()


def test_a_day_has_its_allowance_and_the_next_one_a_new_one(tmp_path: Path) -> None:
    clock = TurnedClock()
    for number in range(5):
        sampler_in(tmp_path, clock).offer(b"%d" % number, "d" * 64, ALL)
    assert kept(tmp_path) == [b"0", b"1", b"2"]
    clock.ahead_s += 86_400
    sampler_in(tmp_path, clock).offer(b"new day", "d" * 64, ALL)
    assert kept(tmp_path) == [b"0", b"1", b"2", b"new day"]


def test_the_rate_is_kept(tmp_path: Path) -> None:
    sampler = sampler_in(tmp_path)
    for _ in range(1000):
        sampler.offer(b"x", "d" * 64, policy(0.05, 1000))
    assert 15 <= len(kept(tmp_path)) <= 100  # binomial: outside with a probability below 1e-6


def test_the_oldest_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "KEPT_BYTES", 25)
    sampler = sampler_in(tmp_path)
    for letter in b"abc":
        sampler.offer(bytes([letter]) * 10, "d" * 64, ALL)
    assert kept(tmp_path) == [b"b" * 10, b"c" * 10]


def test_what_was_sent_away_counts_too_and_a_restart_gives_no_new_allowance(tmp_path: Path) -> None:
    for _ in range(3):
        sampler_in(tmp_path).offer(b"x", "d" * 64, ALL)
    for path in tmp_path.glob("*.json"):
        path.unlink()
    sampler_in(tmp_path).offer(b"x", "d" * 64, ALL)
    assert kept(tmp_path) == []
