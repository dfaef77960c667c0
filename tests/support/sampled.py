"""A consent to samples with its key, requests to take them of, and a server's acknowledgements."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgefleet_agent.disk import Disk
from edgefleet_agent.outbox import Outbox
from edgefleet_agent.sealer import Sealer
from edgefleet_contract import keys, messages, samples
from edgefleet_contract.manifest import Consent, Manifest, SamplingPolicy
from edgefleet_contract.messages import Ack, SampleChunk
from edgefleet_contract.topics import Topic
from support.agent_runs import TurnedClock
from support.contract_samples import DEVICE, sample_manifest

READER = keys.generate_device_key()
CONSENT = Consent("To find mistakes", "privacy@example.org", keys.public_text(READER.public_key()), 30)
POLICY = SamplingPolicy(1.0, 100, CONSENT)
DIGEST = "d" * 64


def sampled_manifest() -> Manifest:
    """Of a bundle whose every inference may be sampled."""
    return sample_manifest(sampling=POLICY)


def request_body(image: NDArray[np.generic]) -> bytes:
    """An inference request of one case."""
    case = {"name": "image", "shape": [1, 8, 8, 1], "datatype": "FP32", "data": image.reshape(-1).tolist()}
    return json.dumps({"inputs": [case]}).encode()


def arrays_of(sealed: bytes) -> dict[str, NDArray[np.generic]]:
    """What the reader finds in a sample."""
    _, plain = samples.open_sample(sealed, READER)
    with np.load(io.BytesIO(plain), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def sealed_by_a_device(folder: Path, image: NDArray[np.generic], hooks: str = "") -> list[bytes]:
    """The outbox of a device after one request."""
    outbox = Outbox(folder, Disk(), 1 << 20)
    sealer = Sealer(outbox, DEVICE, hooks, TurnedClock())
    assert sealer.offer(request_body(image), DIGEST, sampled_manifest())
    sealer.join()
    return [path.read_bytes() for path in sorted(folder.glob("*.sealed"))]


class SampleSide:
    """Takes pieces as the server must, and says how many it has."""

    def __init__(self) -> None:
        self.pieces: dict[str, list[bytes]] = {}
        self.sizes: dict[str, int] = {}
        self.losing = False

    def publish(self, topic: Topic, payload: bytes) -> None:
        assert topic.name == "sample"
        if self.losing:
            return
        chunk = messages.decode(payload, SampleChunk)
        here = self.pieces.setdefault(chunk.sha256, [])
        self.sizes[chunk.sha256] = chunk.size
        if chunk.n == len(here) + 1:
            here.append(chunk.data)

    def acks(self) -> list[Ack]:
        return [Ack(1, DEVICE, "sample", sha256, len(pieces)) for sha256, pieces in self.pieces.items()]

    def whole(self) -> list[bytes]:
        joined = {sha256: b"".join(pieces) for sha256, pieces in self.pieces.items()}
        return [data for sha256, data in joined.items() if len(data) == self.sizes[sha256]]
