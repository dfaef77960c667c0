"""Golden bytes: what an older edgefleet wrote stays readable, and a change of format shows here first.

To change a format on purpose: raise its version, keep the old file and its reading test, add a new file.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from edgefleet_contract import blocks, canonical, enrolment, messages, sketches, trust
from edgefleet_contract.bundle import Bundle
from support.contract_samples import (
    DEVICE,
    HARDWARE,
    NOW,
    MemoryStore,
    bundle_bytes,
    sample_manifest,
    sample_proof,
    sample_release,
    sample_repository,
    signed_assignment,
)

GOLDEN = Path(__file__).parent / "golden"

REFERENCE = sketches.Reference(
    1, 4, [sketches.Extraction("x", "elements", [1], "")], [sketches.FeatureReference("x[0]", [0.0, 1.5], [0, 3, 1])]
)
REPORTED = messages.Reported(
    1, DEVICE, NOW, "0123456789abcdef", 3, 7, "confirmed", "d" * 64, ["d" * 64], None, "x86-64", "0.1.0",
    {"onnxruntime": "1.31.1"}, None,
    [messages.Evidence(7, "probation", "e" * 64, 10, messages.VectorsResult("d" * 64, "a" * 64, 9))],
)  # fmt: skip
TELEMETRY = messages.Telemetry(
    1, DEVICE, NOW,
    [messages.TelemetryRecord(1, "0123456789abcdef", "d" * 64, NOW - 1000, NOW, 4, 0,
                              messages.Latency(1.0, 2.0, 3.0, 4.0), sketches.Sketch("b" * 64, 4, 0.5, [[0, 3, 1]]))],
)  # fmt: skip
TOKEN = enrolment.ClaimToken(1, "t-1", "c2VjcmV0", "a" * 64, "b" * 64)


def floor() -> trust.Floor:
    """The floor of a device that has accepted the sample assignment."""
    store = MemoryStore()
    trust.accept(signed_assignment(), sample_proof(), NOW, store)
    return store.floor()


WRITTEN = {
    "bundle-1.efb": bundle_bytes,
    "proof-1.json": sample_proof,
    "assignment-1.dsse.json": signed_assignment,
    "root-1.json": lambda: sample_repository().first_root,
    "floor-1.json": lambda: canonical.encode(floor()),
    "reported-1.json": lambda: messages.encode(REPORTED),
    "telemetry-1.json": lambda: messages.encode(TELEMETRY),
    "reference-1.json": lambda: canonical.encode(REFERENCE),
    "block-1.bin": lambda: blocks.encode(blocks.Block("c" * 64, 0, 5, b"hello")),
    "token-1.txt": lambda: enrolment.encode_token(TOKEN).encode(),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_the_bytes_written_are_the_golden_ones(name: str) -> None:
    assert WRITTEN[name]() == (GOLDEN / name).read_bytes()


def test_the_golden_files_are_still_read() -> None:
    with Bundle(GOLDEN / "bundle-1.efb") as opened:
        opened.verify()
        assert opened.manifest == sample_manifest()
    store = MemoryStore(trust.Pins(DEVICE, HARDWARE, trust.SCHEME, (GOLDEN / "root-1.json").read_bytes()))
    proof = (GOLDEN / "proof-1.json").read_bytes()
    accepted = trust.accept((GOLDEN / "assignment-1.dsse.json").read_bytes(), proof, NOW, store)
    assert accepted.release == sample_release()
    assert store.floor() == msgspec.json.decode((GOLDEN / "floor-1.json").read_bytes(), type=trust.Floor)
    assert messages.decode((GOLDEN / "reported-1.json").read_bytes(), messages.Reported) == REPORTED
    assert messages.decode((GOLDEN / "telemetry-1.json").read_bytes(), messages.Telemetry) == TELEMETRY
    assert sketches.decode_reference((GOLDEN / "reference-1.json").read_bytes()) == REFERENCE
    assert blocks.decode((GOLDEN / "block-1.bin").read_bytes()).data == b"hello"
    assert enrolment.decode_token((GOLDEN / "token-1.txt").read_text()) == TOKEN
