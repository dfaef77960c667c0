"""What a device believes. Each refusal also shows that nothing was remembered."""

from __future__ import annotations

import msgspec
import pytest

from edgefleet_contract import canonical, dsse, keys, trust
from edgefleet_contract.errors import (
    AssignmentExpired,
    AssignmentReplayed,
    DowngradeRefused,
    EdgefleetError,
    MetadataUnsigned,
    NotReleased,
    PermitRefused,
    RollbackRefused,
    SchemeMismatch,
    SecurityFloorViolated,
    SignatureInvalid,
    StatementMalformed,
    WrongDevice,
    WrongTarget,
)
from support.contract_samples import (
    ASSIGNMENT_KEY,
    DEVICE,
    NOW,
    ONLINE_KEY,
    STRANGER_KEY,
    TARGETS_KEY,
    MemoryStore,
    sample_assignment,
    sample_proof,
    sample_release,
    sample_released_bundle,
    sample_repository,
    signed_assignment,
)
from support.tuf_repository import Holders, TufRepository


def store_after(*releases: trust.Release, sequence: int = 3) -> MemoryStore:
    """A device that has confirmed releases, each as the next assignment up to ``sequence``, of bundles of their own."""
    store, repository = MemoryStore(), sample_repository()
    for place, release in enumerate(releases):
        digest = f"{place:064x}"
        path = repository.release(release, sample_released_bundle(digest=digest))
        assigned = sample_assignment(digest=digest, sequence=sequence - len(releases) + place + 1)
        trust.confirm(trust.accept(signed_assignment(assigned), repository.proof(path), NOW, store), store)
        store.confirmed.add(digest)
    return store


def continued(store: MemoryStore) -> TufRepository:
    """The sample repository, newer than all that the device has seen."""
    repository = sample_repository()
    repository.versions = dict.fromkeys(("timestamp", "snapshot", "targets", "role/digits"), 50)
    repository.versions["root"] = 1
    assert trust.highest(store.floor(), "timestamp") < 50
    return repository


def offer(
    store: MemoryStore,
    assignment: trust.Assignment,
    release: trust.Release,
    bundle: trust.ReleasedBundle | None = None,
    permit: bytes | None = None,
) -> trust.Accepted:
    repository = continued(store)
    path = repository.release(release, bundle or sample_released_bundle())
    return trust.accept(signed_assignment(assignment), repository.proof(path, permit), NOW, store)


def test_a_well_signed_assignment_is_accepted_and_remembered() -> None:
    store = MemoryStore()
    accepted = trust.accept(signed_assignment(), sample_proof(), NOW, store)
    assert accepted.release == sample_release()
    assert accepted.bundle == sample_released_bundle()
    assert not accepted.repeated
    assert trust.highest(store.floor(), "sequence") == 7
    assert store.floor().root == 1
    assert store.kept == [sample_proof()]


def test_the_same_assignment_may_come_again_and_again() -> None:
    store = MemoryStore()
    trust.accept(signed_assignment(), sample_proof(), NOW, store)
    again = trust.accept(signed_assignment(), sample_proof(), NOW, store)
    assert again.repeated
    assert len(store.raised) == 1


def test_a_withdrawal_names_no_bundle_and_still_brings_metadata() -> None:
    store = MemoryStore()
    withdrawal = sample_assignment(digest=None, purpose="withdraw")
    accepted = trust.accept(signed_assignment(withdrawal), sample_repository().proof(), NOW, store)
    assert accepted.release is None
    assert accepted.bundle is None
    assert trust.highest(store.floor(), "timestamp") == 1


REFUSALS = [
    ("another device", {"device": "d-bbbbbbbbbbbbbbbb"}, {}, WrongDevice),
    ("another hardware", {"hardware": "rpi4"}, {}, WrongTarget),
    ("past its expiry", {"expires": NOW}, {}, AssignmentExpired),
    ("an older sequence", {"sequence": 2}, {}, AssignmentReplayed),
    ("other content under the floor's sequence", {"sequence": 3, "rollout": "r-2"}, {}, AssignmentReplayed),
    ("another bundle than the proof's", {"digest": "e" * 64}, {}, StatementMalformed),
    ("a withdrawal that names a bundle", {"purpose": "withdraw"}, {}, StatementMalformed),
    ("a deployment of nothing", {"digest": None}, {}, StatementMalformed),
    ("a release below the security floor", {}, {"security_floor": 4}, SecurityFloorViolated),
    ("a downgrade", {}, {"security_floor": 5, "issued": 9}, DowngradeRefused),
    ("a rollback to what never ran here", {"purpose": "rollback"}, {"issued": 11}, RollbackRefused),
    ("an unknown version of the statement", {"v": 2}, {}, StatementMalformed),
]


@pytest.mark.attack
@pytest.mark.parametrize(
    ("assigned", "released", "error"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS]
)
def test_refused(assigned: dict[str, object], released: dict[str, object], error: type[EdgefleetError]) -> None:
    store = store_after(sample_release(security_floor=5, issued=10))
    raised, kept = list(store.raised), list(store.kept)
    with pytest.raises(error):
        offer(store, sample_assignment(**assigned), sample_release(**{"security_floor": 5, **released}))
    assert (store.raised, store.kept) == (raised, kept)


@pytest.mark.attack
def test_a_bundle_for_other_hardware_is_refused_even_when_assigned() -> None:
    store = MemoryStore()
    with pytest.raises(WrongTarget):
        trust.accept(signed_assignment(), sample_proof(bundle=sample_released_bundle(hardware=["rpi4"])), NOW, store)
    assert not store.raised


@pytest.mark.attack
def test_a_bundle_that_nobody_released_is_refused() -> None:
    repository, store = sample_repository(), MemoryStore()
    repository.release(sample_release(), sample_released_bundle())
    with pytest.raises(NotReleased):
        trust.accept(signed_assignment(), repository.proof("digits/9.9.9/x86-64.efb"), NOW, store)
    assert not store.raised


@pytest.mark.attack
@pytest.mark.parametrize("key", [STRANGER_KEY, TARGETS_KEY, ONLINE_KEY])
def test_an_assignment_needs_the_assignment_key(key: keys.PrivateKey) -> None:
    store = MemoryStore()
    with pytest.raises(SignatureInvalid):
        trust.accept(signed_assignment(key=key), sample_proof(), NOW, store)
    assert not store.raised


@pytest.mark.attack
@pytest.mark.parametrize("role", ["targets", "timestamp", "snapshot"])
@pytest.mark.parametrize("key", [STRANGER_KEY, ASSIGNMENT_KEY])
def test_metadata_need_the_keys_of_their_own_role(role: str, key: keys.PrivateKey) -> None:
    repository, store = sample_repository(), MemoryStore()
    setattr(repository, role, Holders((key,)))
    path = repository.release(sample_release(), sample_released_bundle())
    with pytest.raises(MetadataUnsigned):
        trust.accept(signed_assignment(), repository.proof(path), NOW, store)
    assert not store.raised


@pytest.mark.attack
def test_a_device_pinned_to_another_scheme_refuses_this_one() -> None:
    store = MemoryStore()
    other = msgspec.json.encode({**msgspec.json.decode(sample_proof()), "scheme": "release-statement/1"})
    with pytest.raises(SchemeMismatch):
        trust.accept(signed_assignment(), other, NOW, store)
    assert not store.raised


# --- revert, rollback, downgrade -------------------------------------------------------------------------------------


def permit(**changes: object) -> bytes:
    plain = trust.Permit(1, [DEVICE], "d" * 64, NOW + 1000)
    statement = canonical.encode(msgspec.structs.replace(plain, **changes))
    return dsse.sign(statement, dsse.PERMIT, [TARGETS_KEY])


@pytest.mark.parametrize("purpose", ["rollback", "deploy"])
def test_what_was_confirmed_before_may_come_back_under_a_new_sequence(purpose: str) -> None:
    store = store_after(sample_release(issued=10))
    store.confirmed.add("d" * 64)
    accepted = offer(store, sample_assignment(purpose=purpose), sample_release(issued=5))
    assert accepted.bundle is not None


@pytest.mark.attack
def test_even_a_confirmed_release_does_not_come_back_below_the_security_floor() -> None:
    store = store_after(sample_release(security_floor=1))
    store.confirmed.add("d" * 64)
    with pytest.raises(SecurityFloorViolated, match="rollback is refused"):
        offer(store, sample_assignment(purpose="rollback"), sample_release())


def test_a_downgrade_goes_with_a_permit_by_the_targets_keys() -> None:
    store = store_after(sample_release(issued=10))
    assert offer(store, sample_assignment(), sample_release(issued=5), permit=permit()).bundle is not None


@pytest.mark.attack
def test_a_permit_does_not_lift_the_security_floor() -> None:
    store = store_after(sample_release(issued=10, security_floor=1))
    with pytest.raises(SecurityFloorViolated):
        offer(store, sample_assignment(), sample_release(issued=5), permit=permit())


@pytest.mark.attack
@pytest.mark.parametrize(
    "changes", [{"devices": ["d-bbbbbbbbbbbbbbbb"]}, {"devices": []}, {"digest": "e" * 64}, {"expires": NOW}]
)
def test_a_permit_for_something_else_permits_nothing(changes: dict[str, object]) -> None:
    store = store_after(sample_release(issued=10))
    with pytest.raises(PermitRefused):
        offer(store, sample_assignment(), sample_release(issued=5), permit=permit(**changes))


@pytest.mark.attack
@pytest.mark.parametrize("key", [ASSIGNMENT_KEY, ONLINE_KEY, STRANGER_KEY])
def test_no_online_key_signs_a_permit(key: keys.PrivateKey) -> None:
    store = store_after(sample_release(issued=10))
    forged = dsse.sign(canonical.encode(trust.Permit(1, [DEVICE], "d" * 64, NOW + 1000)), dsse.PERMIT, [key])
    with pytest.raises(SignatureInvalid):
        offer(store, sample_assignment(), sample_release(issued=5), permit=forged)


def test_confirmation_raises_the_floors_and_never_lowers_them() -> None:
    store = store_after(
        sample_release(version="2.0.0", security_floor=3, issued=50),
        sample_release(name="speech", security_floor=3, issued=7),
    )
    floor = store.floor()
    heights = {
        what: trust.highest(floor, what)
        for what in ("security/digits", "security/speech", "issued/digits", "issued/speech")
    }
    assert heights == {"security/digits": 3, "security/speech": 3, "issued/digits": 50, "issued/speech": 7}
