"""Private bundles on the server: what lies on its disk, whom it wraps keys for, and what a second push may do."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefleet_contract.bundle import Bundle
from edgefleet_contract.errors import Conflict, ContentKeyMissing, SealBroken
from edgefleet_contract.sealing.content import unwrap_content_key
from edgefleet_contract.sealing.wrapping import exchange_with
from edgefleet_server.publisher.private import BundleSealer
from edgefleet_server.publisher.statement import state_release
from edgefleet_server.releases.models import ReleasedBundle
from support.server_state import Inside, StandIn
from support.tiny_bundles import tiny_bundle
from support.unchanged import unchanged

SECRET = b"the weights that nobody else may have" * 100


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path, model=SECRET)


def released(inside: Inside) -> ReleasedBundle:
    with inside.database.read() as session:
        return session.query(ReleasedBundle).one()


def opened(device: StandIn, digest: str) -> bytes:
    wrapped = device.assignment().content_key
    assert wrapped is not None
    return unwrap_content_key(wrapped, exchange_with(device.key), device.key.public_key(), digest)


@pytest.mark.attack
def test_a_thief_of_the_servers_files_but_its_keys_finds_nothing_of_a_private_artifact(
    inside: Inside, plain: Path
) -> None:
    inside.push(plain, private=True)
    kept = [path for path in inside.data.path.rglob("*") if path.is_file()]
    assert not [path for path in kept if SECRET[:32] in path.read_bytes()]
    key = inside.data.content_keys / released(inside).sha256
    others = [path for path in kept if inside.data.keys not in path.parents]
    assert not [path for path in others if key.read_bytes() in path.read_bytes()]
    assert key.stat().st_mode & 0o777 == 0o600


def test_each_device_gets_the_key_for_itself(inside: Inside, plain: Path) -> None:
    first, second = inside.device(), inside.device()
    inside.roll_out(inside.push(plain, private=True))
    bundle = released(inside)
    key = opened(first, bundle.digest)
    assert opened(second, bundle.digest) == key
    with Bundle(inside.blobs.path(bundle.sha256), key) as readable:
        assert readable.read("model.onnx") == SECRET


@pytest.mark.attack
def test_a_key_wrapped_for_another_device_or_bundle_opens_nothing(inside: Inside, plain: Path) -> None:
    first, second = inside.device(), inside.device()
    inside.roll_out(inside.push(plain, private=True))
    wrapped = first.assignment().content_key
    assert wrapped is not None
    with pytest.raises(SealBroken):
        unwrap_content_key(wrapped, exchange_with(second.key), second.key.public_key(), released(inside).digest)
    with pytest.raises(SealBroken):
        unwrap_content_key(wrapped, exchange_with(first.key), first.key.public_key(), "e" * 64)


def test_a_release_that_is_not_private_carries_no_key(inside: Inside, plain: Path) -> None:
    device = inside.device()
    inside.roll_out(inside.push(plain))
    assert device.assignment().content_key is None


def test_a_private_release_without_its_key_is_not_taken(inside: Inside, plain: Path, tmp_path: Path) -> None:
    stated = state_release([plain], inside.clock(), BundleSealer(tmp_path / "home", tmp_path))
    ((bundle, sealed),) = stated.files
    inside.blobs.store(bundle.sha256, sealed.read_bytes())
    with unchanged(inside.data.path), pytest.raises(ContentKeyMissing):
        inside.content_keys.open(bundle.sha256, private=True)


@pytest.mark.attack
@pytest.mark.parametrize("key", [bytes(32), b"", bytes(33)], ids=["another", "none", "too long"])
def test_a_key_that_does_not_open_the_file_is_not_kept(inside: Inside, plain: Path, key: bytes) -> None:
    inside.push(plain, private=True)
    with unchanged(inside.data.path), pytest.raises(SealBroken):
        inside.content_keys.put(released(inside).sha256, key)


def test_a_second_push_seals_to_the_same_bytes_and_changes_nothing(inside: Inside, plain: Path) -> None:
    label = inside.push(plain, private=True)
    with unchanged(inside.data.path):
        assert inside.push(plain, private=True) == label


@pytest.mark.attack
def test_a_private_release_pushed_again_in_the_clear_is_refused_before_anything_is_uploaded(
    inside: Inside, plain: Path
) -> None:
    inside.push(plain, private=True)
    stated = state_release([plain], inside.clock())
    with unchanged(inside.data.path), pytest.raises(Conflict, match="sealed otherwise"):
        inside.publisher.release(inside.publisher.repository(), stated, inside.clock())


def test_a_device_is_assigned_without_a_key_that_the_server_lost_and_others_go_on(inside: Inside, plain: Path) -> None:
    device = inside.device()
    label = inside.push(plain, private=True)
    (inside.data.content_keys / released(inside).sha256).unlink()
    inside.roll_out(label)
    assert (device.assignment().digest, device.assignment().content_key) == (released(inside).digest, None)
