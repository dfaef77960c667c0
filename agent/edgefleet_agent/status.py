"""How an agent is: what its data folder says, and what it says itself while it runs."""

from __future__ import annotations

import msgspec

from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.identity import Card, Identity
from edgefleet_agent.record import Record, load_record
from edgefleet_agent.slots import Slots
from edgefleet_contract.manifest import Manifest


def describe(card: Card, record: Record, manifest: Manifest | None) -> dict[str, object]:
    """The state as JSON types.

    Args:
        card: Who the device is.
        record: Of the state machine.
        manifest: Of the slot that serves; None if there is none.
    """
    running = None
    if manifest is not None:
        running = {"name": manifest.name, "version": manifest.version, "digest": record.running_digest}
    return {
        "device": card.device,
        "hardware": card.hardware,
        "server": card.server,
        "state": record.state,
        "sequence": record.sequence,
        "running": running,
        "error": msgspec.to_builtins(record.error),
    }


def describe_folder(folder: DataFolder) -> dict[str, object]:
    """The state of an agent by what lies on its disk.

    Raises:
        NotEnrolled: The folder holds no identity.
        DataFolderMalformed: It cannot be read.
    """
    record = load_record(folder)
    manifest = None if record.running is None else Slots(folder, Disk()).manifest(record.running)
    return describe(Identity(folder).card, record, manifest)
