"""What a device believes. Each refusal also shows that nothing was remembered."""

from __future__ import annotations

import base64
import json

import msgspec
import pytest

from edgefleet_contract import canonical, dsse, keys, trust
from edgefleet_contract.errors import (
    AssignmentExpired,
    AssignmentReplayed,
    DowngradeRefused,
    EdgefleetError,
    SchemeMismatch,
    SecurityFloorViolated,
    SignatureInvalid,
    StatementMalformed,
    WrongDevice,
    WrongTarget,
)
from support.contract_samples import (
    ASSIGNMENT_KEY,
    NOW,
    ROOT_KEY,
    STRANGER_KEY,
    TARGETS_KEY,
    MemoryStore,
    sample_assignment,
    sample_release,
    sample_root,
    signed_assignment,
    signed_release,
    signed_root,
)


def test_a_well_signed_assignment_is_accepted_and_its_sequence_remembered() -> None:
    store = MemoryStore()
    accepted = trust.accept(signed_assignment(), signed_release(), NOW, store)
    assert accepted.release == sample_release()
    assert accepted.bundle == sample_release().bundles[0]
    assert not accepted.repeated
    assert store.floor().sequence == 7


def test_the_same_assignment_may_come_again_and_again() -> None:
    store = MemoryStore()
    trust.accept(signed_assignment(), signed_release(), NOW, store)
    again = trust.accept(signed_assignment(), signed_release(), NOW, store)
    assert again.repeated
    assert len(store.raised) == 1


def test_an_assignment_of_nothing_needs_no_proof() -> None:
    accepted = trust.accept(signed_assignment(sample_assignment(digest=None)), b"null", NOW, MemoryStore())
    assert accepted.release is None
    assert accepted.bundle is None


REFUSALS = [
    ("another device", {"device": "d-bbbbbbbbbbbbbbbb"}, {}, WrongDevice),
    ("another hardware", {"hardware": "rpi4"}, {}, WrongTarget),
    ("past its expiry", {"expires": NOW}, {}, AssignmentExpired),
    ("an older sequence", {"sequence": 2}, {}, AssignmentReplayed),
    ("other content under the floor's sequence", {"sequence": 3, "rollout": "r-2"}, {}, AssignmentReplayed),
    ("a bundle that the release does not list", {"digest": "e" * 64}, {}, StatementMalformed),
    ("a release below the security floor", {}, {"security_floor": 4}, SecurityFloorViolated),
    ("a release older than the confirmed one", {}, {"security_floor": 5, "issued": 9}, DowngradeRefused),
    ("an unknown version of the statement", {"v": 2}, {}, StatementMalformed),
]


@pytest.mark.attack
@pytest.mark.parametrize(
    ("assigned", "released", "error"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS]
)
def test_refused(assigned: dict[str, object], released: dict[str, object], error: type[EdgefleetError]) -> None:
    store = MemoryStore()
    store.raise_floor(trust.Floor(3, "0" * 64, security_floor=5, issued={"digits": 10}))
    release = sample_release(**{"security_floor": 5, **released})
    with pytest.raises(error):
        trust.accept(signed_assignment(sample_assignment(**assigned)), signed_release(release), NOW, store)
    assert len(store.raised) == 1


@pytest.mark.attack
def test_a_bundle_for_other_hardware_is_refused_even_when_assigned() -> None:
    store = MemoryStore()
    foreign = msgspec.structs.replace(sample_release().bundles[0], hardware=["rpi4"])
    with pytest.raises(WrongTarget):
        trust.accept(signed_assignment(), signed_release(sample_release(bundles=[foreign])), NOW, store)
    assert not store.raised


@pytest.mark.attack
@pytest.mark.parametrize(
    ("assigner", "releaser"),
    [
        (STRANGER_KEY, TARGETS_KEY),
        (ASSIGNMENT_KEY, STRANGER_KEY),
        (TARGETS_KEY, TARGETS_KEY),
        (ASSIGNMENT_KEY, ASSIGNMENT_KEY),
    ],
)
def test_each_statement_needs_the_key_of_its_own_role(assigner: keys.PrivateKey, releaser: keys.PrivateKey) -> None:
    store = MemoryStore()
    with pytest.raises(SignatureInvalid):
        trust.accept(signed_assignment(key=assigner), signed_release(key=releaser), NOW, store)
    assert not store.raised


@pytest.mark.attack
def test_a_device_pinned_to_another_scheme_refuses_this_one() -> None:
    store = MemoryStore()
    pinned = msgspec.structs.replace(sample_root(), scheme="another/9")
    store.pins = msgspec.structs.replace(store.pins, root=pinned)
    with pytest.raises(SchemeMismatch):
        trust.accept(signed_assignment(), signed_release(), NOW, store)
    assert not store.raised


def test_what_was_confirmed_before_may_come_back_under_a_new_sequence() -> None:
    store = MemoryStore(confirmed={"d" * 64})
    store.raise_floor(trust.Floor(3, "0" * 64, issued={"digits": NOW}))
    accepted = trust.accept(signed_assignment(), signed_release(), NOW, store)
    assert accepted.bundle is not None


@pytest.mark.attack
def test_even_a_confirmed_release_does_not_come_back_below_the_security_floor() -> None:
    store = MemoryStore(confirmed={"d" * 64})
    store.raise_floor(trust.Floor(3, "0" * 64, security_floor=1))
    with pytest.raises(SecurityFloorViolated):
        trust.accept(signed_assignment(), signed_release(), NOW, store)
    assert len(store.raised) == 1


def test_confirmation_raises_the_floors_and_never_lowers_them() -> None:
    store = MemoryStore()
    trust.confirm(sample_release(security_floor=3, issued=50), store)
    trust.confirm(sample_release(security_floor=2, issued=40), store)
    trust.confirm(sample_release(name="speech", security_floor=2, issued=7), store)
    assert store.floor() == trust.Floor(security_floor=3, issued={"digits": 50, "speech": 7})


@pytest.mark.attack
def test_a_threshold_counts_keys_not_signatures() -> None:
    root = sample_root(targets=[keys.public_text(key.public_key()) for key in (TARGETS_KEY, ROOT_KEY)], threshold=2)
    payload = canonical.encode(sample_release())
    with pytest.raises(SignatureInvalid, match="1 of the statement's 2"):
        trust.open_release(dsse.sign(payload, dsse.RELEASE, [TARGETS_KEY, TARGETS_KEY]), root)
    assert trust.open_release(dsse.sign(payload, dsse.RELEASE, [TARGETS_KEY, ROOT_KEY]), root) == sample_release()


def test_a_root_is_opened_by_the_key_it_names_and_known_by_its_hash() -> None:
    assert trust.open_root(signed_root()) == sample_root()
    assert trust.root_digest(signed_root()) == canonical.sha256(canonical.encode(sample_root()))


@pytest.mark.attack
@pytest.mark.parametrize("threshold", [0, 2])
def test_a_root_whose_threshold_cannot_be_met_is_refused(threshold: int) -> None:
    with pytest.raises(StatementMalformed):
        trust.open_root(signed_root(sample_root(threshold=threshold)))


@pytest.mark.attack
def test_a_root_signed_by_another_key_is_refused() -> None:
    with pytest.raises(SignatureInvalid):
        trust.open_root(signed_root(key=STRANGER_KEY))


@pytest.mark.attack
def test_a_statement_of_one_type_is_not_taken_for_another() -> None:
    payload = canonical.encode(sample_assignment())
    with pytest.raises(StatementMalformed, match="is of type"):
        trust.accept(dsse.sign(payload, dsse.RELEASE, [ASSIGNMENT_KEY]), signed_release(), NOW, MemoryStore())
    relabelled = json.loads(dsse.sign(payload, dsse.RELEASE, [ASSIGNMENT_KEY])) | {"payloadType": dsse.ASSIGNMENT}
    with pytest.raises(SignatureInvalid):
        trust.accept(json.dumps(relabelled).encode(), signed_release(), NOW, MemoryStore())


@pytest.mark.attack
@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"null",
        b"{}",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b"0" * 300_000,
        b'{"payloadType":"a","payload":"%","signatures":[]}',
    ],
)
def test_garbage_is_a_malformed_statement(garbage: bytes) -> None:
    store = MemoryStore()
    with pytest.raises(StatementMalformed):
        trust.accept(garbage, signed_release(), NOW, store)
    with pytest.raises(StatementMalformed):
        trust.accept(signed_assignment(), garbage, NOW, store)
    assert not store.raised


def test_the_pre_authentication_encoding_is_that_of_the_specification() -> None:
    # The example of DSSE's protocol.md: type "http://example.com/HelloWorld", body "hello world".
    encoded = dsse.pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_envelopes_use_standard_base64_and_name_the_key() -> None:
    envelope = json.loads(signed_release())
    assert base64.b64decode(envelope["payload"]) == canonical.encode(sample_release())
    assert envelope["signatures"][0]["keyid"] == keys.key_id(TARGETS_KEY.public_key())


def test_device_keys_sign_too() -> None:
    key = keys.generate_device_key()
    envelope = dsse.sign(b"report", dsse.REPORTED, [key])
    public = keys.public_from_text(keys.public_text(key.public_key()))
    assert dsse.verify(envelope, dsse.REPORTED, {keys.key_id(public): public}) == b"report"


def test_keys_survive_pem() -> None:
    for key in (keys.generate(), keys.generate_device_key()):
        again = keys.from_pem(keys.to_pem(key))
        assert keys.key_id(again.public_key()) == keys.key_id(key.public_key())


@pytest.mark.parametrize("text", ["", "!", "AAAA", base64.b64encode(b"x" * 40).decode()])
def test_what_is_no_public_key_is_malformed(text: str) -> None:
    with pytest.raises(StatementMalformed):
        keys.public_from_text(text)
