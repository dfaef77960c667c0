"""Private bundles: a bundle sealed as a publisher seals it, and slots that hold one."""

from __future__ import annotations

from pathlib import Path

from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.slots import Seal, Slots
from edgefleet_contract import keys
from edgefleet_contract.bundle import Bundle, transfer_digest
from edgefleet_contract.sealing import files
from edgefleet_contract.sealing.content import wrap_content_key
from edgefleet_contract.sealing.wrapping import WrappedKey, exchange_with
from support.bundles import RuntimeName, make_bundle


class DeviceKey:
    """A device's key, as ``Identity`` lends it."""

    def __init__(self) -> None:
        self._key = keys.generate_device_key()
        self.public_key = self._key.public_key
        self.exchange = exchange_with(self._key)

    def holders(self) -> list[DeviceKey]:
        return [self]


def seal_bundle(plain: Path) -> tuple[Path, bytes]:
    """The bundle sealed beside itself, and its content key."""
    key, path = files.new_key(), plain.with_suffix(".sealed")
    path.write_bytes(files.seal_bytes(plain.read_bytes(), key))
    return path, key


def artifact_of(plain: Path) -> bytes:
    """The bytes that nobody else may see."""
    with Bundle(plain) as bundle:
        return bundle.read(bundle.manifest.artifact)


class PrivateSlot:
    """A slot ``a`` that holds a private bundle for one device."""

    def __init__(self, root: Path, runtime: RuntimeName = "onnxruntime") -> None:
        self.plain = make_bundle(root, runtime=runtime)
        self.sealed, self.key = seal_bundle(self.plain)
        with Bundle(self.plain) as bundle:
            self.digest, self.manifest = bundle.digest, bundle.manifest
        self.device = DeviceKey()
        self.folder = DataFolder(root / "data")
        self.slots = Slots(self.folder, Disk())
        self.seal = Seal(transfer_digest(self.sealed)[0], self.wrapped_for(self.device))
        self.slots.fill_sealed("a", self.sealed, self.seal, self.key)

    def wrapped_for(self, device: DeviceKey) -> WrappedKey:
        return wrap_content_key(self.key, device.public_key(), self.digest)
