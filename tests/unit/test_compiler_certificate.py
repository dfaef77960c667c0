"""Certificates of lossless pruning: they hold for what was made, and for nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from edgefleet_compiler.exports import export_kept, pruned_losslessly
from edgefleet_compiler.lossless.certificate import certify
from edgefleet_compiler.lossless.verify import verify_certificate
from edgefleet_compiler.tflite.writer import write_tflite
from edgefleet_contract import canonical
from edgefleet_contract.errors import CertificateRefused
from support.prunable_graphs import prunable_graph

SEED = 2


@dataclass(frozen=True)
class Certified:
    """A source, what came of it, and the certificate as JSON."""

    source: bytes
    artifact: bytes
    claims: dict[str, Any]

    def verify(self) -> None:
        verify_certificate(self.source, self.artifact, canonical.encode(self.claims))


def certified(seed: int = SEED) -> Certified:
    graph = prunable_graph(seed)
    source = write_tflite(graph)
    exported = pruned_losslessly(export_kept(graph, "source"))
    assert exported.pruned is not None
    certificate = certify(
        exported.pruned.whole,
        exported.pruned.removal,
        exported.data,
        refers_to="source",
        whole_sha256=canonical.sha256(source),
        io="source",
    )
    return Certified(source, exported.data, json.loads(canonical.encode(certificate)))


@pytest.fixture(scope="module")
def whole() -> Certified:
    return certified()


def test_a_certificate_holds_for_what_it_was_made_for(whole: Certified) -> None:
    whole.verify()
    removed = whole.claims["removed"]
    assert any(entry["constant"] for entry in removed)
    assert any(entry["unread"] for entry in removed)
    assert len(whole.artifact) < len(whole.source)


@pytest.mark.parametrize("seed", range(20))
def test_certificates_of_other_models_hold_too(seed: int) -> None:
    certified(seed).verify()


def entry_with(claims: dict[str, Any], reason: str) -> dict[str, Any]:
    found: dict[str, Any] = next(entry for entry in claims["removed"] if entry[reason])
    return found


def swapped(claims: dict[str, Any]) -> None:
    entry = entry_with(claims, "constant")
    channel, _ = entry["constant"].pop()
    entry["unread"] = sorted([*entry["unread"], channel])


def one_more(claims: dict[str, Any]) -> None:
    entry = entry_with(claims, "unread")
    gone = {*entry["unread"], *(channel for channel, _ in entry["constant"])}
    entry["unread"].append(min(set(range(entry["channels"])) - gone))


def other_value(claims: dict[str, Any]) -> None:
    entry = entry_with(claims, "constant")
    channel, value = entry["constant"][0]
    entry["constant"][0] = [channel, value + 1 if value < 0 else value - 1]


def drop_channel(claims: dict[str, Any]) -> None:
    entry_with(claims, "unread")["unread"].pop()


def raised(reason: str) -> Callable[[dict[str, Any]], None]:
    def change(claims: dict[str, Any]) -> None:
        claims["removed"][0][reason] += 1

    return change


TAMPERED: dict[str, Callable[[dict[str, Any]], object]] = {
    "another version": lambda claims: claims.update(v=2),
    "another word for the reference": lambda claims: claims.update(refers_to="nobody"),
    "another digest of the source": lambda claims: claims.update(whole_sha256="0" * 64),
    "another digest of the artifact": lambda claims: claims.update(artifact_sha256="0" * 64),
    "another border": lambda claims: claims.update(io="float"),
    "a dialect more": lambda claims: claims["dialects"].append("onnxruntime"),
    "a dialect less": lambda claims: claims["dialects"].pop(),
    "a layer less": lambda claims: claims["removed"].pop(),
    "a layer twice": lambda claims: claims["removed"].append(claims["removed"][0]),
    "layers in another order": lambda claims: claims["removed"].reverse(),
    "nothing removed": lambda claims: claims.update(removed=[]),
    "another operator": raised("operator"),
    "an operator that is not there": lambda claims: claims["removed"][0].update(operator=99),
    "another kind": lambda claims: claims["removed"][0].update(kind="ADD"),
    "another number of channels": raised("channels"),
    "a channel that is not there": lambda claims: claims["removed"][0]["unread"].append(4096),
    "a channel twice": lambda claims: entry_with(claims, "unread")["unread"].append(
        entry_with(claims, "unread")["unread"][0]
    ),
    "a channel more": one_more,
    "a channel less": drop_channel,
    "another constant": other_value,
    "a constant said to be unread": swapped,
    "a field more": lambda claims: claims.update(note="trust me"),
    "a field less": lambda claims: claims.pop("dialects"),
}


@pytest.mark.attack
@pytest.mark.parametrize("how", TAMPERED)
def test_a_tampered_certificate_is_refused(whole: Certified, how: str) -> None:
    claims = json.loads(json.dumps(whole.claims))
    TAMPERED[how](claims)
    with pytest.raises(CertificateRefused):
        Certified(whole.source, whole.artifact, claims).verify()


@pytest.mark.attack
@pytest.mark.parametrize("data", [b"", b"{}", b"\xff\x00", b"[" * 100_000])
def test_what_is_no_certificate_is_refused(whole: Certified, data: bytes) -> None:
    with pytest.raises(CertificateRefused):
        verify_certificate(whole.source, whole.artifact, data)


@pytest.mark.attack
def test_a_certificate_in_other_bytes_is_refused(whole: Certified) -> None:
    with pytest.raises(CertificateRefused, match="something else"):
        verify_certificate(whole.source, whole.artifact, json.dumps(whole.claims, indent=1).encode())


@pytest.mark.attack
def test_another_source_is_refused(whole: Certified) -> None:
    with pytest.raises(CertificateRefused, match="not the source"):
        Certified(certified(SEED + 1).source, whole.artifact, whole.claims).verify()


@pytest.mark.attack
def test_another_artifact_is_refused(whole: Certified) -> None:
    with pytest.raises(CertificateRefused, match="artifact is not the one"):
        Certified(whole.source, certified(SEED + 1).artifact, whole.claims).verify()


@pytest.mark.attack
@pytest.mark.parametrize("place", range(8))
def test_an_artifact_with_another_digest_to_match_is_refused(whole: Certified, place: int) -> None:
    """Whoever changes both has to make the source give that artifact."""
    changed = bytearray(whole.artifact)
    changed[len(changed) * place // 8 + 5] ^= 1
    claims = whole.claims | {"artifact_sha256": canonical.sha256(bytes(changed))}
    with pytest.raises(CertificateRefused):
        Certified(whole.source, bytes(changed), claims).verify()


@pytest.mark.attack
def test_a_source_with_another_digest_to_match_is_refused(whole: Certified) -> None:
    other = certified(SEED + 1).source
    claims = whole.claims | {"whole_sha256": canonical.sha256(other)}
    with pytest.raises(CertificateRefused):
        Certified(other, whole.artifact, claims).verify()


@pytest.mark.attack
def test_a_source_that_is_no_model_is_refused(whole: Certified) -> None:
    claims = whole.claims | {"whole_sha256": canonical.sha256(b"no model")}
    with pytest.raises(CertificateRefused):
        Certified(b"no model", whole.artifact, claims).verify()
