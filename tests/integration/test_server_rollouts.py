"""Whole rollouts against simulated devices, on both brokers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.bundles import make_bundle
from support.server_runs import Site, running_site, until

pytestmark = pytest.mark.integration


@pytest.fixture(params=["mosquitto", "amqtt"])
def site(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Site]:
    with running_site(tmp_path, capsys, request.param) as running:
        yield running


def push(site: Site, version: str, model: bytes | None = None) -> str:
    path = make_bundle(site.folder, version=version, model=model)
    return str(site.operator.ask("release", "push", str(path))["label"])


def roll_out(site: Site, release: str, *options: str) -> str:
    return str(
        site.operator.ask(
            "rollout", "create", "--release", release, "--to", "all", "--probation", "200ms", *options
        )["id"]
    )  # fmt: skip


def ended(site: Site, label: str, state: str) -> dict[str, object]:
    return until(lambda: site.rollout(label), lambda rollout: rollout["state"] == state)


def test_a_good_release_reaches_every_device_stage_by_stage(site: Site) -> None:
    devices = [site.device() for _ in range(3)]
    label = roll_out(site, push(site, "1.0.0"), "--stage", "30%", "--stage", "100%")
    rollout = ended(site, label, "finished")
    assert rollout["counts"] == {"succeeded": 3}
    assert {device.running for device in devices} == {rollout["deployments"][0]["digest"]}
    assert [len(device.sequences) for device in devices] == [1, 1, 1]
