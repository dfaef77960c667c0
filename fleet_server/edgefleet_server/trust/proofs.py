"""Proofs: the metadata by which a device convinces itself that the publisher released what it is to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from edgefleet_contract import trust
from edgefleet_contract.trust.floors import NO_FLOOR
from edgefleet_contract.trust.proofs import decode_proof
from edgefleet_contract.trust.repository import metadata_name
from edgefleet_contract.trust.updater import follow_roots, verify_metadata
from edgefleet_server.trust.online import OnlineMetadata
from edgefleet_server.trust.repository import Repository


class ProofBook:
    """All proofs that there are at one time.

    Args:
        repository: What the publisher signed.
        online: What the server signed over it.
    """

    def __init__(self, repository: Repository, online: OnlineMetadata) -> None:
        self.repository = repository
        self.version = online.version
        self._online = online
        self._made: dict[tuple[str | None, bytes | None], bytes] = {}

    def proof(self, path: str | None, permit: bytes | None = None) -> bytes | None:
        """What convinces a device; None where the publisher's metadata do not speak of the model.

        Args:
            path: The target path of the assigned bundle; None for a withdrawal, which brings the newest root too.
            permit: A permit that the device may need, in its envelope.
        """
        if path is not None and path.partition("/")[0] not in self.repository.models:
            return None
        if (path, permit) not in self._made:
            self._made[path, permit] = trust.encode_proof(self._metadata(path), path, permit)
        return self._made[path, permit]

    def check(self, models: Sequence[str], now: int) -> None:
        """Look at the proofs of some models as a device would that has seen nothing yet.

        Args:
            models: Names.
            now: UTC milliseconds.

        Raises:
            VerificationError: It would refuse them, or even a withdrawal.
        """
        for path in [None, *(next(iter(self._targets(name)), None) for name in models)]:
            made = self.proof(path)
            assert made is not None
            proof = decode_proof(made)
            verify_metadata(proof, follow_roots(proof, self.repository.roots[0], NO_FLOOR), NO_FLOOR, now)

    def _metadata(self, path: str | None) -> Mapping[str, bytes]:
        roots = {metadata_name("root", number): data for number, data in enumerate(self.repository.roots, 1)}
        del roots[metadata_name("root", 1)]  # every device has been given it, or a later one
        return {**roots, **self._common, **(self._of_model(path.partition("/")[0]) if path is not None else {})}

    @cached_property
    def _common(self) -> dict[str, bytes]:
        assert self.repository.targets is not None
        return {
            "timestamp.json": self._online.timestamp,
            metadata_name("snapshot", self._online.version): self._online.snapshot,
            metadata_name("targets", self._versions["targets"]): self.repository.targets,
        }

    @cached_property
    def _versions(self) -> dict[str, int]:
        return self.repository.versions()

    def _of_model(self, name: str) -> dict[str, bytes]:
        return {metadata_name(name, self._versions[name]): self.repository.models[name]}

    def _targets(self, name: str) -> Mapping[str, object]:
        model = self.repository.model(name)
        return model.targets if model is not None else {}
