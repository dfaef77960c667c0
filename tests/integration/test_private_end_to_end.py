"""A private bundle and its samples, with a real server, broker and agents: who can read what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.identity import Identity
from edgefleet_agent.private import ContentKeys
from edgefleet_agent.slots import Slots
from edgefleet_contract.bundle import Bundle
from edgefleet_contract.errors import SealBroken
from edgefleet_contract.manifest import Consent, SamplingPolicy
from edgefleet_server.ingest import Ingest
from edgefleet_server.mqtt import Connection
from support.agent_broker import AgentProcess, run_command
from support.bundles import make_bundle, npz, validation_cases
from support.private_bundles import artifact_of
from support.server_runs import Site, running_site, until

pytestmark = pytest.mark.integration


class Eavesdropper:
    """Hears all that passes the broker: what the server sends, and what it receives."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.heard: list[bytes] = []
        send, store = Connection.publish, Ingest.store

        def publish(connection: Connection, topic: str, payload: bytes, *rest: Any, **options: Any) -> Any:
            self.heard.append(bytes(payload))
            return send(connection, topic, payload, *rest, **options)

        def keep(ingest: Ingest, batch: list[Any]) -> Any:
            self.heard += [bytes(message.payload) for message in batch]
            return store(ingest, batch)

        patch.setattr(Connection, "publish", publish)
        patch.setattr(Ingest, "store", keep)


def enrolled(site: Site, data: Path, *tags: str) -> str:
    """Enroll an agent's folder; the device's id."""
    token = site.operator.ask("device", "token", *(word for tag in tags for word in ("--tag", tag)))
    done = run_command(
        "enroll", "--server", token["server"], "--token", token["token"], "--data", data, "--target", "x86-64", "--json"
    )
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["device"])


def rolled_out(site: Site, bundle: Path, label: str, *options: str) -> None:
    site.operator.ask("release", "push", str(bundle), *options)
    rollout = site.operator.ask(
        "rollout", "create", "--release", label, "--to", "lab", "--stage", "100%", "--probation", "1s"
    )
    until(lambda: site.rollout(rollout["id"])["state"], lambda state: state == "finished")


def infer(data: Path, images: Path) -> None:
    done = run_command("infer", "--data", data, "--input", images)
    assert done.returncode == 0, done.stderr


def pieces_of(secret: bytes) -> list[bytes]:
    """Parts of what nobody may see, long enough to be there by no chance."""
    return [secret[at : at + 48] for at in range(0, len(secret) - 48, 997)]


def holding(pieces: list[bytes], folder: Path) -> list[Path]:
    """Files that hold any of them."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if any(piece in data for data in [path.read_bytes()] for piece in pieces)]


@pytest.mark.attack
def test_a_private_bundle_and_its_samples_are_read_by_whom_they_are_for_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Eavesdropper(monkeypatch).heard
    with running_site(tmp_path, capsys) as site:
        mine, other = tmp_path / "agent", tmp_path / "other"
        device = enrolled(site, mine, "group=lab")
        enrolled(site, other)
        key = site.operator.ask("sample", "key")
        consent = Consent("To find mistakes", "privacy@example.org", key["recipient"], 30)
        bundle = make_bundle(tmp_path, sampling=SamplingPolicy(1.0, 50, consent), padding=300_000)
        agent = AgentProcess(mine)
        try:
            rolled_out(site, bundle, "digits@1.0.0", "--private")
            check_that_nobody_else_reads_it(site, bundle, mine, other, heard)
            check_samples(site, mine, device, tmp_path)
            check_that_nothing_is_sent_without_consent(site, mine, tmp_path)
            assert agent.stop() == 0
        finally:
            agent.kill()


def check_that_nobody_else_reads_it(site: Site, bundle: Path, mine: Path, other: Path, heard: list[bytes]) -> None:
    secret = pieces_of(artifact_of(bundle))
    assert len(heard) > 5
    assert not any(piece in payload for payload in heard for piece in secret)
    assert holding(secret, site.folder / "data") == []
    assert holding(secret, mine) == []
    shown = site.operator.ask("release", "show", "digits@1.0.0")["bundles"][0]
    assert shown["private"]
    sealed = site.folder / "data" / "blobs" / "sha256" / shown["sha256"]
    own, theirs = Slots(DataFolder(mine), Disk()), Identity(DataFolder(other))
    seal = own.seal("a")
    assert seal is not None
    with Bundle(sealed, ContentKeys(own, Identity(DataFolder(mine)).holders).of_slot("a")) as opened:
        assert opened.read(opened.manifest.artifact) == artifact_of(bundle)
    with pytest.raises(SealBroken):
        ContentKeys(own, theirs.holders).unwrapped(seal.content_key, shown["digest"])


def check_samples(site: Site, mine: Path, device: str, folder: Path) -> None:
    images, _ = validation_cases()
    (folder / "images.npz").write_bytes(npz(x=images[:3]))
    infer(mine, folder / "images.npz")
    (listed,) = until(lambda: site.operator.ask("sample", "list"))
    assert listed["device_id"] == device
    fetched = site.operator.ask("sample", "fetch", "--out", str(folder / "samples"))
    assert fetched["sealed_to_others"] == 0
    with np.load(fetched["written"][0]) as sample:
        (name,) = sample.files
        assert np.array_equal(sample[name].reshape(images[:3].shape), images[:3])
    site.operator.ask("sample", "key", "--key", str(folder / "stranger.pem"))
    strange = site.operator.ask("sample", "fetch", "--out", str(folder / "none"), "--key", str(folder / "stranger.pem"))
    assert strange == {"written": [], "sealed_to_others": 1}
    erased = site.operator.ask("device", "erase", device, "--yes")
    assert erased["samples"] == 1
    assert site.operator.ask("sample", "list") == []


def check_that_nothing_is_sent_without_consent(site: Site, mine: Path, folder: Path) -> None:
    rolled_out(site, make_bundle(folder, version="1.1.0", sampling=SamplingPolicy(1.0, 50)), "digits@1.1.0")
    infer(mine, folder / "images.npz")
    assert len(list((mine / "samples").glob("*.json"))) == 1
    assert list((mine / "outbox").glob("*.sealed")) == []
    assert site.operator.ask("sample", "list") == []
