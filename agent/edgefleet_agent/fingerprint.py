"""What this machine is known by, read from the system and hashed at once."""

from __future__ import annotations

from pathlib import Path

from edgefleet_contract.fingerprint import Fingerprint, hashed

_MACHINE_ID = "etc/machine-id"
# Where boards name themselves: the device tree (devicetree-specification, section 2.3: serial-number), and the firmware
# of a PC, which root alone may read.
_SERIALS = ("proc/device-tree/serial-number", "sys/class/dmi/id/product_serial")
_INTERFACES = "sys/class/net"


def read_fingerprint(root: Path = Path("/"), serial: str | None = None) -> Fingerprint:
    """The fingerprint of this machine.

    Args:
        root: Of its file system.
        serial: The serial number, for boards that do not say it themselves.
    """
    found = serial or next((text for name in _SERIALS if (text := _text(root / name))), "")
    return Fingerprint(
        machine=hashed("machine", _text(root / _MACHINE_ID)),
        serial=hashed("serial", found),
        network=hashed("network", " ".join(_hardware_addresses(root / _INTERFACES))),
    )


def _hardware_addresses(interfaces: Path) -> list[str]:
    """Of the interfaces that belong to a device; bridges, tunnels and containers make theirs up."""
    try:
        physical = [interface for interface in interfaces.iterdir() if (interface / "device").exists()]
    except OSError:
        return []
    return sorted(filter(None, (_text(interface / "address") for interface in physical)))


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip("\0 \n")
    except OSError:
        return ""
