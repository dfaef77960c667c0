"""Sealed samples: who reads them, and what nobody can change of them; the consent without which there are none."""

from __future__ import annotations

import msgspec
import pytest

from edgefleet_contract import keys, manifest, samples
from edgefleet_contract.errors import BundleMalformed, SealBroken
from edgefleet_contract.manifest import Consent, SamplingPolicy
from support.contract_samples import DEVICE, sample_manifest

PLAIN = b"what the camera saw" * 100
READER = keys.generate_device_key()
CONSENT = Consent("To find what the model mistakes", "privacy@example.org", keys.public_text(READER.public_key()), 30)


def sealed() -> bytes:
    return samples.seal_sample(PLAIN, device=DEVICE, digest="d" * 64, taken=7, recipient=CONSENT.recipient)


def test_the_recipient_reads_a_sample_and_its_label() -> None:
    label, plain = samples.open_sample(sealed(), READER)
    assert plain == PLAIN
    assert (label.device, label.digest, label.taken) == (DEVICE, "d" * 64, 7)


def test_nobody_else_reads_it_and_all_may_read_the_label() -> None:
    data = sealed()
    assert PLAIN[:19] not in data
    assert samples.read_label(data).device == DEVICE
    with pytest.raises(SealBroken, match="is sealed to the key"):
        samples.open_sample(data, keys.generate_device_key())


@pytest.mark.attack
def test_a_label_that_somebody_changed_opens_nothing() -> None:
    with pytest.raises(SealBroken):
        samples.open_sample(sealed().replace(b'"taken":7', b'"taken":8'), READER)


@pytest.mark.parametrize("length", [0, 3, 4, 100, 400])
def test_a_sample_that_was_cut_off_is_told_as_such(length: int) -> None:
    with pytest.raises(SealBroken):
        samples.open_sample(sealed()[:length], READER)


def with_consent(**changes: object) -> bytes:
    policy = SamplingPolicy(0.5, 10, msgspec.structs.replace(CONSENT, **changes))
    return manifest.encode(sample_manifest(sampling=policy))


def test_a_manifest_carries_its_consent() -> None:
    assert manifest.decode(with_consent()).sampling.consent == CONSENT


@pytest.mark.parametrize(
    "changes",
    [
        {"purpose": " "},
        {"contact": ""},
        {"retention_days": 0},
        {"retention_days": 4000},
        {"recipient": "AAAA"},
        {"recipient": keys.public_text(keys.generate().public_key())},
    ],
    ids=["no purpose", "no contact", "no term", "for ever", "no key", "a key that only signs"],
)
def test_a_consent_that_lacks_something_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(BundleMalformed, match="consent"):
        manifest.decode(with_consent(**changes))


def test_a_manifest_without_consent_has_the_bytes_it_always_had() -> None:
    assert b"consent" not in manifest.encode(sample_manifest())
