"""Private bundles at a device: with any key but its own it stays with what it runs, and opens nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefleet_contract import keys
from edgefleet_contract.sealing.content import wrap_content_key
from edgefleet_contract.sealing.wrapping import WrappedKey
from support.agent_runs import AgentRun
from support.bundles import release_of
from support.private_bundles import PrivateBench, artifact_of
from support.unchanged import unchanged


def attempts(bench: PrivateBench) -> dict[str, tuple[WrappedKey | None, str]]:
    """What a server or broker might send as the key, and the error that the device reports."""
    stranger = wrap_content_key(bench.key, keys.generate_device_key().public_key(), bench.digest)
    return {
        "none": (None, "seal.key_missing"),
        "for another device": (stranger, "seal.broken"),
        "another key": (bench.wrapped(key=bytes(32)), "seal.broken"),
    }


@pytest.fixture
def bench(tmp_path: Path) -> PrivateBench:
    return PrivateBench(tmp_path)


def test_a_private_bundle_is_confirmed_and_its_artifact_is_nowhere_on_the_disk(bench: PrivateBench) -> None:
    bench.confirm_the_first()
    report = bench.run(bench.assign(bench.wrapped()))
    assert (report.state, report.running) == ("confirmed", bench.digest)
    # Slot a holds the same model in the clear, by the plain release before.
    files = [path for path in (bench.folder.root / "slots" / "b").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if artifact_of(bench.plain)[200:264] in path.read_bytes()]
    with AgentRun(bench.folder, bench.side) as run:
        assert run.settle().running == bench.digest


@pytest.mark.attack
@pytest.mark.parametrize("attempt", ["none", "for another device", "another key"])
def test_a_device_with_any_other_key_stays_with_what_it_runs(bench: PrivateBench, attempt: str) -> None:
    bench.confirm_the_first()
    content_key, code = attempts(bench)[attempt]
    with unchanged(bench.folder.root, apart_from=("state.json", "floor.json", "trust", "download")):
        report = bench.run(bench.assign(content_key))
    assert report.error is not None
    assert (report.state, report.error.code) == ("rejected", code)
    assert report.running == release_of([bench.first]).bundles[0].digest
