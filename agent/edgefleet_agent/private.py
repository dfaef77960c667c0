"""Content keys of private bundles: opened with the device's key when they are needed, never kept open."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from edgefleet_agent.folder import SLOTS, SlotName
from edgefleet_agent.slots import Seal, Slots
from edgefleet_contract.errors import EdgefleetError, SealBroken
from edgefleet_contract.sealing.content import unwrap_content_key, wrap_content_key
from edgefleet_contract.sealing.wrapping import WrappedKey

log = logging.getLogger(__name__)


class Holder(Protocol):
    """Has a key of the device, perhaps in a secure element."""

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """P-256."""

    def exchange(self, peer: ec.EllipticCurvePublicKey) -> bytes:
        """ECDH with the private key: the x coordinate of the shared point."""


class ContentKeys:
    """Opens content keys.

    Args:
        slots: Where private bundles lie, with their wrapped keys.
        holders: Gives the device's key and, while something may still be wrapped to it, the one before.
    """

    def __init__(self, slots: Slots, holders: Callable[[], Sequence[Holder]]) -> None:
        self._slots = slots
        self._holders = holders

    def of_slot(self, name: SlotName) -> bytes | None:
        """The content key of the bundle in a slot; None where it is not private.

        Raises:
            DataFolderMalformed: The slot is damaged.
            SealBroken: The key was wrapped to another device's key.
        """
        seal = self._slots.seal(name)
        if seal is None:
            return None
        return self.unwrapped(seal.content_key, self._slots.digest(name))

    def unwrapped(self, wrapped: WrappedKey, digest: str) -> bytes:
        """The content key of the bundle ``digest``.

        Raises:
            SealBroken: It was wrapped for another device or bundle.
        """
        newest, *older = self._holders()
        for holder in older:
            try:
                return _unwrap(wrapped, holder, digest)
            except SealBroken:
                continue
        return _unwrap(wrapped, newest, digest)

    def renew(self) -> None:
        """Wrap what lies in the slots to the device's newest key: the one before will be gone after the next renewal.

        A slot that cannot be done stays as it is; its bundle is fetched again when it is assigned again.
        """
        for name in SLOTS:
            try:
                seal, key = self._slots.seal(name), self.of_slot(name)
                if seal is not None and key is not None:
                    wrapped = wrap_content_key(key, self._holders()[0].public_key(), self._slots.digest(name))
                    self._slots.keep_seal(name, Seal(seal.sha256, wrapped))
            except EdgefleetError as error:
                log.warning("content key of slot %s is not renewed code=%s: %s", name, error.code, error)


def _unwrap(wrapped: WrappedKey, holder: Holder, digest: str) -> bytes:
    return unwrap_content_key(wrapped, holder.exchange, holder.public_key(), digest)
