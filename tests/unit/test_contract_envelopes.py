"""Statements in their envelopes, the keys that sign them, and what is taken for neither."""

from __future__ import annotations

import base64
import json

import pytest

from edgefleet_contract import canonical, dsse, keys, trust
from edgefleet_contract.errors import (
    SignatureInvalid,
    StatementMalformed,
    VerificationError,
)
from support.contract_samples import (
    ASSIGNMENT_KEY,
    NOW,
    ONLINE_KEY,
    TARGETS_KEY,
    MemoryStore,
    sample_assignment,
    sample_proof,
    signed_assignment,
)


@pytest.mark.attack
def test_a_statement_of_one_type_is_not_taken_for_another() -> None:
    payload = canonical.encode(sample_assignment())
    with pytest.raises(StatementMalformed, match="is of type"):
        trust.accept(dsse.sign(payload, dsse.PERMIT, [ASSIGNMENT_KEY]), sample_proof(), NOW, MemoryStore())
    relabelled = json.loads(dsse.sign(payload, dsse.PERMIT, [ASSIGNMENT_KEY])) | {"payloadType": dsse.ASSIGNMENT}
    with pytest.raises(SignatureInvalid):
        trust.accept(json.dumps(relabelled).encode(), sample_proof(), NOW, MemoryStore())


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
        b'{"scheme":"tuf/1","metadata":{"2.root.json":{}}}',
        b'{"scheme":"tuf/1","metadata":{"2.root.json":[[[[]]]],"timestamp.json":7}}',
        b'{"scheme":"tuf/1","metadata":{"timestamp.json":' + b"[" * 50_000 + b"]" * 50_000 + b"}}",
    ],
)
def test_garbage_is_refused_and_forgotten(garbage: bytes) -> None:
    store = MemoryStore()
    with pytest.raises(StatementMalformed):
        trust.accept(garbage, sample_proof(), NOW, store)
    with pytest.raises(VerificationError):
        trust.accept(signed_assignment(), garbage, NOW, store)
    assert not store.raised


@pytest.mark.attack
def test_a_threshold_counts_keys_not_signatures() -> None:
    public = {keys.key_id(key.public_key()): key.public_key() for key in (TARGETS_KEY, ONLINE_KEY)}
    with pytest.raises(SignatureInvalid, match="1 of the statement's 2"):
        dsse.verify(dsse.sign(b"{}", dsse.PERMIT, [TARGETS_KEY, TARGETS_KEY]), dsse.PERMIT, public, 2)
    assert dsse.verify(dsse.sign(b"{}", dsse.PERMIT, [TARGETS_KEY, ONLINE_KEY]), dsse.PERMIT, public, 2) == b"{}"


def test_the_pre_authentication_encoding_is_that_of_the_specification() -> None:
    # The example of DSSE's protocol.md: type "http://example.com/HelloWorld", body "hello world".
    encoded = dsse.pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_envelopes_use_standard_base64_and_name_the_key() -> None:
    envelope = json.loads(signed_assignment())
    assert base64.b64decode(envelope["payload"]) == canonical.encode(sample_assignment())
    assert envelope["signatures"][0]["keyid"] == keys.key_id(ASSIGNMENT_KEY.public_key())


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
