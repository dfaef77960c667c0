"""What a device is known by, beside its key: hashes of what its hardware and its installation call themselves.

Nothing stands here in the clear. The hashes are for comparing: whoever knows a serial number can hash it as well, so
they hide it from those who look at a list of devices, not from those who guess.
"""

from __future__ import annotations

import msgspec

from edgefleet_contract import canonical


class Fingerprint(msgspec.Struct, frozen=True):
    """Hashes as :func:`hashed` makes them; "" where a device has no such thing.

    Attributes:
        machine: Of the installation: ``/etc/machine-id``, which a copied storage carries along.
        serial: Of the board's serial number.
        network: Of the hardware addresses of its network interfaces, sorted.
    """

    machine: str = ""
    serial: str = ""
    network: str = ""

    @property
    def hardware(self) -> str:
        """The one hash by which an allow list may know the device: its serial number's, or else of all there is."""
        return self.serial or canonical.sha256(canonical.encode(self))

    def differs_from(self, other: Fingerprint) -> list[str]:
        """The parts that both have and that are not the same."""
        return [
            name
            for name in self.__struct_fields__
            if getattr(self, name) and getattr(other, name) and getattr(self, name) != getattr(other, name)
        ]


def hashed(kind: str, text: str) -> str:
    """SHA-256 of ``text`` as a part of the given kind, so that equal texts of two kinds differ.

    Args:
        kind: "machine", "serial" or "network".
        text: White space and NUL around it, and the case of letters, do not count.
    """
    plain = text.strip("\0 \t\r\n").lower()
    return canonical.sha256(f"edgefleet {kind} 1\n{plain}".encode()) if plain else ""
