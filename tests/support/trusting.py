"""A device that trusts a repository of the tests: one call for what the server would send it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from edgefleet_contract import trust
from edgefleet_contract.counting import LARGEST
from edgefleet_contract.errors import VerificationError
from support.contract_samples import DEVICE, HARDWARE, NOW, MemoryStore
from support.tuf_repository import TufRepository

SERIAL = "{:064x}"
SKY = (1 << 31) - 1  # as high as a thief can drive a version


def publish(repository: TufRepository, serial: int, *, security_floor: int = 0, issued: int | None = None) -> str:
    """Release a bundle whose digest is ``serial``, as version ``serial.0.0`` of digits; returns its path."""
    digest = SERIAL.format(serial)
    release = trust.Release("digits", f"{serial}.0.0", serial if issued is None else issued, security_floor)
    return repository.release(release, trust.ReleasedBundle("x86-64", [HARDWARE], digest, "f" * 64, 1000))


@dataclass
class Device:
    """What trust remembers on a device, and what may be sent to it."""

    repository: TufRepository
    store: MemoryStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = MemoryStore(trust.Pins(DEVICE, HARDWARE, trust.SCHEME, self.repository.first_root))

    def take(
        self,
        repository: TufRepository,
        path: str,
        sequence: int,
        *,
        metadata: dict[str, bytes] | None = None,
        now: int = NOW,
        **changes: object,
    ) -> trust.Accepted:
        """Accept and confirm the bundle at ``path``, with the repository's metadata or others."""
        serial = int(path.split("/")[1].partition(".")[0])
        fields = {"digest": SERIAL.format(serial), "sequence": sequence, "expires": LARGEST, **changes}
        assignment = trust.Assignment(1, DEVICE, HARDWARE, **fields)  # type: ignore[arg-type] - fields of many types
        proof = repository.proof(path) if metadata is None else trust.encode_proof(metadata, path)
        accepted = trust.accept(repository.assign(assignment), proof, now, self.store)
        trust.confirm(accepted, self.store)
        self.store.confirmed.add(SERIAL.format(serial))
        self.store.acted = accepted.mark
        return accepted

    def believes(self, repository: TufRepository, path: str, sequence: int) -> bool:
        """Take it, and say whether trust says yes."""
        try:
            self.take(repository, path, sequence)
        except VerificationError:
            return False
        return True

    def lose_metadata(self) -> None:
        """The metadata's file is gone; the floor's is not."""
        self.store.kept.clear()

    def lose_floor(self) -> None:
        """The floor's file is gone; the metadata's is not."""
        self.store.raised.clear()

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Assert that trust remembers nothing of what happens."""
        before = list(self.store.raised), list(self.store.kept)
        yield
        assert (self.store.raised, self.store.kept) == before


def experienced(repository: TufRepository) -> Device:
    """A device that has confirmed releases 1 and 2, under sequences 1 and 2."""
    device = Device(repository)
    for serial in (1, 2):
        device.take(repository, publish(repository, serial), serial)
    return device
