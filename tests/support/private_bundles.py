"""Private bundles: one sealed as a publisher seals it, slots that hold one, and a device that is assigned one."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.identity import Identity, save_card
from edgefleet_agent.signers import FILE
from edgefleet_agent.slots import Seal, Slots
from edgefleet_contract import canonical, dsse, keys, messages, trust
from edgefleet_contract.bundle import Bundle, transfer_digest
from edgefleet_contract.messages import Desired, Reported
from edgefleet_contract.sealing import files
from edgefleet_contract.sealing.content import wrap_content_key
from edgefleet_contract.sealing.wrapping import WrappedKey, exchange_with
from support.agent_fleet import FAR_AHEAD_MS, HARDWARE, FleetSide, Operator
from support.agent_runs import AgentRun
from support.bundles import RuntimeName, make_bundle, release_of


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


class PrivateBench:
    """A device, release 1.0.0 and a private 1.1.0 for it.

    Args:
        root: For all files.
        key: Where the device's key lives.
    """

    def __init__(self, root: Path, key: str = FILE) -> None:
        self.operator = Operator()
        self.folder, self.device = self.operator.enrolled_folder(root / "data")
        save_card(Disk(), self.folder, msgspec.structs.replace(Identity(self.folder).card, key=key))
        self.side = FleetSide(self.folder, self.device, [])
        self.first = make_bundle(root, runtime="litert")
        self.side.offer(self.first.read_bytes())
        self.plain = make_bundle(root, version="1.1.0", runtime="litert")
        self.sealed, self.key = seal_bundle(self.plain)
        self.side.offer(self.sealed.read_bytes())
        self.digest = release_of([self.plain]).bundles[0].digest

    def run(self, desired: bytes) -> Reported:
        """What the device reports in the end."""
        self.side.desired = desired
        with AgentRun(self.folder, self.side) as run:
            return run.settle()

    def confirm_the_first(self) -> None:
        assert self.run(self.operator.assign(self.device, [self.first], 1)).state == "confirmed"

    def wrapped(self, key: bytes | None = None) -> WrappedKey:
        """A content key for this device."""
        public = Identity(self.folder).holders()[0].public_key()
        return wrap_content_key(key or self.key, public, self.digest)

    def assign(self, content_key: WrappedKey | None) -> bytes:
        """The desired twin that assigns the private bundle."""
        stated = release_of([self.plain])
        sha256, size = transfer_digest(self.sealed)
        bundle = msgspec.structs.replace(stated.bundles[0], sha256=sha256, bytes=size, private=True)
        path = self.operator.repository.release(stated.release, bundle)
        assignment = trust.Assignment(
            1, self.device, HARDWARE, self.digest, 2, FAR_AHEAD_MS, "r-2", content_key=content_key
        )
        signers = self.operator.repository.assignment.private
        envelope = dsse.sign(canonical.encode(assignment), dsse.ASSIGNMENT, signers)
        proof = self.operator.repository.proof(path, None)
        return messages.encode(Desired(1, msgspec.Raw(envelope), msgspec.Raw(proof)))
