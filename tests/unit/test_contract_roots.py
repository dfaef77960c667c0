"""Which roots are believed: whole, signed as they say, and of this scheme."""

from __future__ import annotations

import json

import pytest

from edgefleet_contract import keys, trust
from edgefleet_contract.errors import (
    MetadataMalformed,
    MetadataUnsigned,
    UsageMalformed,
)
from edgefleet_contract.trust.repository import check_role, read_root
from support.contract_samples import (
    DEVICE,
    HARDWARE,
    NOW,
    MemoryStore,
    sample_assignment,
    sample_proof,
    sample_release,
    sample_released_bundle,
    sample_repository,
    signed_assignment,
)
from support.tuf_repository import Holders, TufRepository


def root_with(**changes: object) -> bytes:
    root = json.loads(sample_repository().first_root)
    root["signed"] |= changes
    return json.dumps(root).encode()


ROLES = json.loads(sample_repository().first_root)["signed"]["roles"]


@pytest.mark.attack
@pytest.mark.parametrize("threshold", [0, 2])
@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
def test_a_root_whose_threshold_cannot_be_met_is_refused(role: str, threshold: int) -> None:
    with pytest.raises(MetadataMalformed, match="threshold"):
        read_root(root_with(roles={**ROLES, role: {**ROLES[role], "threshold": threshold}}))


@pytest.mark.attack
def test_one_key_under_two_names_does_not_make_two() -> None:
    signed = json.loads(sample_repository().first_root)["signed"]
    (keyid,) = ROLES["targets"]["keyids"]
    doubled = {**ROLES, "targets": {"keyids": [keyid, "f" * 64], "threshold": 2}}
    with pytest.raises(MetadataMalformed, match="1 keys"):
        read_root(root_with(roles=doubled, keys={**signed["keys"], "f" * 64: signed["keys"][keyid]}))


@pytest.mark.attack
@pytest.mark.parametrize(
    "changes",
    [{"keys": {}}, {"x-edgefleet": {}}, {"consistent_snapshot": False}, {"roles": {}}, {"version": "1"}],
)
def test_what_is_no_root_of_ours_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(MetadataMalformed):
        read_root(root_with(**changes))


@pytest.mark.attack
def test_a_pinned_root_that_was_altered_is_no_root() -> None:
    store = MemoryStore(trust.Pins(DEVICE, HARDWARE, trust.SCHEME, root_with(version=2)))
    with pytest.raises(MetadataUnsigned):
        trust.accept(signed_assignment(), sample_proof(), NOW, store)
    assert not store.raised


def test_secure_elements_keys_sign_metadata_and_assignments() -> None:
    p256 = Holders((keys.generate_device_key(),))
    repository = TufRepository(root=p256, targets=p256, timestamp=p256, assignment=p256)
    store = MemoryStore(trust.Pins(DEVICE, HARDWARE, trust.SCHEME, repository.first_root))
    path = repository.release(sample_release(), sample_released_bundle())
    assert trust.accept(repository.assign(sample_assignment()), repository.proof(path), NOW, store).bundle is not None


@pytest.mark.parametrize("name", ["root", "targets", "snapshot", "timestamp"])
def test_a_model_is_not_called_like_a_role_of_tuf(name: str) -> None:
    with pytest.raises(UsageMalformed):
        check_role(name)
